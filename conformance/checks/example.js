// Runs the compiled example against the server.
import { pathToFileURL } from 'node:url';

const [url, folder] = process.argv.slice(2);
const { main } = await import(pathToFileURL(`${folder}/example.js`));
await main(url, process.env.KALENDS_TOKEN);
console.log('created, refused, moved, listed, cancelled');
