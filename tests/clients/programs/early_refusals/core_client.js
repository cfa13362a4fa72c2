// Node's own http and https. The environment and what is printed: see asyncio_client.py.
const http = require('http');
const https = require('https');
const tls = require('tls');

const {ROUNDS, SIZE, CHUNKED, HOST, BASE_URL, HTTPS_PROXY} = process.env;
const url = new URL('/big', BASE_URL);
const body = Buffer.alloc(Number(SIZE), 'u');

// A connection to the proxy; for https with a tunnel and TLS in it, made by hand.
function connect() {
  if (url.protocol === 'http:') return Promise.resolve(undefined);
  const proxy = new URL(HTTPS_PROXY);
  return new Promise((resolve, reject) => {
    http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host, agent: false})
        .on('connect', (_, socket) => {
          const secure = tls.connect({socket, servername: url.hostname}, () => resolve(secure)).on('error', reject);
        })
        .on('error', reject)
        .end();
  });
}

async function status() {
  const socket = await connect();
  return new Promise((resolve) => {
    const headers = {Host: HOST, ...(CHUNKED ? {'Transfer-Encoding': 'chunked'} : {'Content-Length': SIZE})};
    const options = {method: 'POST', headers, ...(socket ? {createConnection: () => socket} : {agent: false})};
    const request = (socket ? https : http).request(url, options, (answer) => {
      answer.on('error', (error) => resolve(error.code)).on('end', () => resolve(String(answer.statusCode))).resume();
    });
    request.on('error', (error) => resolve(error.code)).end(body);
  });
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
