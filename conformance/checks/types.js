// TypeScript: the generated client and the example compile under strict, and are written to a folder as JavaScript;
// what stands in wrong/ is refused, each for its reason and no other.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const REFUSED = {
  'forgotten-refusal.ts': /"TimeConflictError".* is not assignable to type 'never'/s,
  'missing-what.ts': /^Property 'what' is missing/,
  'unknown-status.ts': /^Type '"CANCELLED"' is not assignable/,
};
const folder = fileURLToPath(new URL('../typescript/', import.meta.url));
const [out] = process.argv.slice(2);

const text = ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n');
const { options, fileNames, errors } = ts.getParsedCommandLineOfConfigFile(`${folder}tsconfig.json`, {}, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => assert.fail(text(diagnostic)),
});
assert.deepEqual(errors.map(text), []);
assert(options.strict);

const program = ts.createProgram(fileNames, { ...options, noEmit: false, outDir: out });
const complaints = ts.getPreEmitDiagnostics(program).map((each) => `${each.file?.fileName}: ${text(each)}`);
assert.deepEqual(complaints, []);
assert(!program.emit().emitSkipped);

const refused = Object.keys(REFUSED).map((name) => `${folder}wrong/${name}`);
const said = ts.getPreEmitDiagnostics(ts.createProgram(refused, options)); // in order of their files' names
assert.deepEqual(said.map((each) => each.file?.fileName), refused, said.map(text).join('\n'));
for (const [index, reason] of Object.values(REFUSED).entries()) assert.match(text(said[index]), reason);

console.log(`the client and the example compile, ${refused.length} mistakes do not`);
