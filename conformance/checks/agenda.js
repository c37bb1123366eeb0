// A second subgraph, such as an application beside Kalends would have: items on the agenda of an event.
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';

export const typeDefs = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])

  type Event @key(fields: "id") {
    id: ID!
    agenda: [Item!]!
  }

  type Calendar @key(fields: "id", resolvable: false) {
    id: ID!
  }

  type Item {
    text: String!
    event: Event
    calendar: Calendar
  }

  type Query {
    items(eventIds: [ID!]!, calendarId: ID): [Item!]!
  }
`);

const item = (id, calendarId = null) => ({ text: `On the agenda of ${id}`, event: { id }, calendar: calendarId && { id: calendarId } });

const resolvers = {
  Query: { items: (_, { eventIds, calendarId }) => eventIds.map((id) => item(id, calendarId)) },
  Event: { agenda: ({ id }) => [item(id)] },
};

/** Serves it on a free port of this machine. */
export async function serveAgenda() {
  const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs, resolvers }) });
  const { url } = await startStandaloneServer(server, { listen: { host: '127.0.0.1', port: 0 } });
  return { url, stop: () => server.stop() };
}
