// graphql-eslint: every rule of its schema sets but those below, and every rule for operations.
// Paths start at the repository's root, where run.sh starts ESLint; it ignores the exceptions noted in the file itself.
import graphql from '@graphql-eslint/eslint-plugin';

const operations = 'conformance/typescript/operations/*.graphql';
const graphQLConfig = { schema: 'schema.graphql', documents: operations };
const sets = graphql.configs;
const naming = sets['flat/schema-recommended'].rules['@graphql-eslint/naming-convention'][1];
const OFF = [
  'alphabetize', // fields stand in the order in which people need them
  'input-name', // updateEvent(id:, input:): the id is no part of what changes
  'no-root-type', // the set forbids mutations
  'require-field-of-type-query-in-mutation-result', // payloads carry what changed, not the whole graph
  'require-nullable-result-in-root', // a payload is never null: refusals are data in it
];

export default [
  {
    files: ['schema.graphql'],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig },
    },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...sets['flat/schema-all'].rules,
      ...sets['flat/schema-recommended'].rules,
      ...sets['flat/schema-relay'].rules,
      ...Object.fromEntries(OFF.map((name) => [`@graphql-eslint/${name}`, 'off'])),
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
      // The names that Federation fixes are its own affair.
      '@graphql-eslint/naming-convention': [
        'error',
        {
          ...naming,
          types: { style: 'PascalCase', ignorePattern: '^(federation|link)__' },
          allowLeadingUnderscore: true,
        },
      ],
      'no-restricted-syntax': ['error', 'Name[value=/^_(?!(Any|Entity|Service|entities|service)$)/]'],
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
        },
      ],
      // Lists that are short by nature are plain lists; there is no Node interface.
      '@graphql-eslint/relay-edge-types': [
        'error',
        { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
      ],
      // What has no identity of its own has no id.
      '@graphql-eslint/strict-id-in-types': [
        'error',
        {
          exceptions: {
            suffixes: ['Connection', 'Edge', 'Error', 'Payload'],
            types: [
              'Availability',
              'AvailabilitySlot',
              'Blocking',
              'BufferReason',
              'BusySpan',
              'CalendarFreeBusy',
              'CalendarFreshness',
              'CalendarReason',
              'CalendarSource',
              'Collision',
              'DryRun',
              'EventReason',
              'EventSync',
              'Imported',
              'ImportedEvent',
              'ImportFailure',
              'FreeBusy',
              'NoticeReason',
              'PageInfo',
              'Participant',
              'Provider',
              'Recurrence',
              'RefusedSlot',
              'RemoteCalendar',
              'RuleReason',
              'SandboxFaults',
              'SlotRole',
              'SyncConflict',
              'SyncSide',
              'SyncWarning',
              'TimeRange',
              'Unreadable',
              'Viewer',
              '_Service',
            ],
          },
        },
      ],
    },
  },
  {
    files: [operations],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig },
    },
    plugins: { '@graphql-eslint': graphql },
    rules: sets['flat/operations-recommended'].rules,
  },
];
