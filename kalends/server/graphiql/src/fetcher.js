import { getOperationAST } from "graphql";
import { createClient } from "graphql-sse";

/**
 * Sends queries and mutations as GraphQL over HTTP, and subscriptions as server-sent events
 * ("distinct connections mode": one POST per subscription), so that no WebSocket is needed.
 *
 * `defaultHeaders` stands in where GraphiQL gives none: the header editor is empty, or not there yet when the schema
 * is asked for.
 */
export function createFetcher(url, defaultHeaders) {
  return async (params, { headers = defaultHeaders(), documentAST } = {}) => {
    const operation = documentAST && getOperationAST(documentAST, params.operationName);
    if (operation?.operation === "subscription") {
      return createClient({ url, headers, retryAttempts: 0 }).iterate(params);
    }
    const response = await fetch(url, {
      method: "POST",
      headers: {
        accept: "application/graphql-response+json, application/json",
        "content-type": "application/json",
        ...headers,
      },
      body: JSON.stringify(params),
    });
    return response.json();
  };
}
