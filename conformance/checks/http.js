// GraphQL over HTTP: every audit of the graphql-http package, whatever its level, must pass.
import { serverAudits } from 'graphql-http';

const EXPECTED = 61;
const [url] = process.argv.slice(2);
const levels = { MUST: 0, SHOULD: 0, MAY: 0 };
let failed = 0;

for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const result = await audit.fn();
  const level = audit.name.split(' ', 1)[0];
  if (result.status === 'ok') {
    levels[level] += 1;
  } else {
    failed += 1;
    console.log(`${audit.id} ${audit.name}: ${result.reason}`);
  }
}

const passed = levels.MUST + levels.SHOULD + levels.MAY;
const each = Object.entries(levels).map(([level, count]) => `${count} ${level}`);
console.log(`${passed} of ${passed + failed} audits (${each.join(', ')})`);
process.exitCode = failed === 0 && passed === EXPECTED ? 0 : 1;
