// undici. The environment and what is printed: see asyncio_client.py.
const {Agent, ProxyAgent, request} = require('undici');

const {ROUNDS, SIZE, CHUNKED, HOST, BASE_URL, HTTPS_PROXY} = process.env;
const url = new URL('/big', BASE_URL);
const bytes = Buffer.alloc(Number(SIZE), 'u');

// A body of unknown length is sent chunked.
async function* pieces() {
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
}

async function status() {
  const dispatcher = url.protocol === 'http:' ? new Agent() : new ProxyAgent(HTTPS_PROXY);
  try {
    const answer = await request(url, {dispatcher, method: 'POST', headers: {host: HOST}, body: CHUNKED ? pieces() : bytes});
    await answer.body.text();
    return String(answer.statusCode);
  } catch (error) {
    return error.code;
  } finally {
    dispatcher.destroy().catch(() => {});
  }
}

(async () => {
  const seen = {};
  for (let round = 0; round < Number(ROUNDS); ++round) {
    const one = await status();
    seen[one] = (seen[one] || 0) + 1;
  }
  console.log(Object.entries(seen).map(([one, count]) => `${one} x ${count}`).join(', '));
  process.exit(0);
})();
