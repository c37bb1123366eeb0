// A client of a dozen lines: the generated documents know their variables and their result.
import type { TypedDocumentString } from './generated/graphql.js';

export function connect(url: string, token: string) {
  return async function ask<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): Promise<Result> {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        accept: 'application/graphql-response+json',
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
    const { data, errors } = (await response.json()) as { data?: Result; errors?: { message: string }[] };
    if (errors?.length || data === undefined) throw new Error(errors?.[0]?.message ?? response.statusText);
    return data;
  };
}
