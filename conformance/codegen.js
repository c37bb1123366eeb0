// The TypeScript client of an application, generated from the exported schema and the application's own operations.
export default {
  schema: '../schema.graphql',
  documents: ['typescript/operations/*.graphql'],
  generates: {
    './typescript/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        enumsAsTypes: true,
        importExtension: '.js',
        strictScalars: true,
        useTypeImports: true,
        scalars: {
          Date: 'string',
          DateTime: 'string',
          Duration: 'string',
          EmailAddress: 'string',
          JSON: 'unknown',
          LocalTime: 'string',
          Metadata: 'Record<string, string>',
          TimeZone: 'string',
          _Any: 'unknown',
          federation__FieldSet: 'string',
          link__Import: 'unknown',
        },
      },
    },
  },
};
