// Federation: Kalends composes with a second subgraph in three composers, and answers Apollo's gateway.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { composeServices } from '@apollo/composition';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import * as guild from '@theguild/federation-composition';
import { federateSubgraphs, ROUTER_COMPATIBILITY_VERSION_ONE } from '@wundergraph/composition';
import { parse } from 'graphql';
import { serveAgenda, typeDefs } from './agenda.js';
import { ask, blockTime } from './kalends.js';

const UNKNOWN = '01900000-0000-7000-8000-000000000000';
const NAMES = ['Stand-up', 'Review', 'Lunch', 'Retrospective'];
const [url, file] = process.argv.slice(2);

const composers = {
  '@apollo/composition': (subgraphs) => {
    const { errors, supergraphSdl } = composeServices(subgraphs);
    return { errors, supergraphSdl };
  },
  '@theguild/federation-composition': (subgraphs) => {
    const result = guild.composeServices(subgraphs);
    return { errors: guild.compositionHasErrors(result) ? result.errors : [] };
  },
  '@wundergraph/composition': (subgraphs) => {
    const result = federateSubgraphs({
      subgraphs: subgraphs.map(({ name, url, typeDefs }) => ({ name, url, definitions: typeDefs })),
      version: ROUTER_COMPATIBILITY_VERSION_ONE,
    });
    return { errors: result.success ? [] : result.errors };
  },
};

const sources = {
  '_service { sdl }': (await ask(url, '{ _service { sdl } }'))._service.sdl,
  [file]: await readFile(file, 'utf8'),
};
const agenda = await serveAgenda();
let supergraphSdl;
for (const [source, sdl] of Object.entries(sources)) {
  const subgraphs = [
    { name: 'kalends', url, typeDefs: parse(sdl) },
    { name: 'agenda', url: agenda.url, typeDefs },
  ];
  for (const [composer, compose] of Object.entries(composers)) {
    const composed = compose(subgraphs);
    const messages = (composed.errors ?? []).map((error) => error.message);
    assert.deepEqual(messages, [], `${composer} composes ${source}`);
    supergraphSdl ??= composed.supergraphSdl;
    console.log(`${composer} composes ${source}`);
  }
}

const { calendar, events } = await blockTime(url, NAMES);
const [first] = events;

const { _entities: entities } = await ask(
  url,
  `query ($representations: [_Any!]!) {
    _entities(representations: $representations) {
      __typename
      ... on Event { id what calendar { id } }
      ... on Calendar { id name }
    }
  }`,
  {
    representations: [
      ...events.map((id) => ({ __typename: 'Event', id })).reverse(),
      { __typename: 'Event', id: UNKNOWN },
      { __typename: 'Event', id: 'no id at all' },
      { __typename: 'Resource', id: first },
      { __typename: 'Calendar', id: calendar },
    ],
  },
);
assert.deepEqual(
  entities.map((entity) => entity && (entity.what ?? entity.name)),
  [...[...NAMES].reverse(), null, null, null, 'Conformance'],
);
console.log('_entities keeps the order, and null stands for what is unknown');

const gateway = new ApolloGateway({
  supergraphSdl,
  buildService: (service) => new RemoteGraphQLDataSource({ url: service.url }),
});
const server = new ApolloServer({ gateway });
await server.start();

async function joined(query, variables) {
  const { body } = await server.executeOperation({ query, variables });
  const { data, errors } = body.singleResult;
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

try {
  const one = await joined('query ($id: ID!) { event(id: $id) { id what agenda { text } } }', { id: first });
  assert.deepEqual({ ...one.event }, { id: first, what: NAMES[0], agenda: one.event.agenda });
  assert.equal(one.event.agenda[0].text, `On the agenda of ${first}`);

  const week = await joined(
    `query ($ids: [ID!]) {
      events(from: "2026-05-01T00:00:00Z", to: "2026-05-08T00:00:00Z", calendarIds: $ids) {
        edges { node { what agenda { text event { id calendar { name } } } } }
      }
    }`,
    { ids: [calendar] },
  );
  assert.deepEqual(week.events.edges.map(({ node }) => node.what), NAMES);
  assert.deepEqual(week.events.edges.map(({ node }) => node.agenda[0].event.id), events);
  console.log('the gateway joins events to their agenda');

  const asked = [events[3], UNKNOWN, events[1], events[3], events[0]];
  const { items } = await joined(
    `query ($ids: [ID!]!, $calendar: ID) {
      items(eventIds: $ids, calendarId: $calendar) { event { id what sync { status } } calendar { name } }
    }`,
    { ids: asked, calendar },
  );
  assert.deepEqual(items.map(({ event }) => event?.what ?? null), [NAMES[3], null, NAMES[1], NAMES[3], NAMES[0]]);
  assert(items.every((item) => item.calendar.name === 'Conformance'));
  console.log('the gateway joins the agenda to its events, an unknown one is null');

  const many = Array.from({ length: 400 }, (_, index) => events[index % events.length]);
  const long = await joined('query ($ids: [ID!]!) { items(eventIds: $ids) { event { what where start end } } }', { ids: many });
  assert.deepEqual(long.items.map(({ event }) => event.what), many.map((id) => NAMES[events.indexOf(id)]));
  console.log('the gateway joins 400 references');
} finally {
  await server.stop();
  await agenda.stop();
}
console.log('3 composers, the gateway both ways');
