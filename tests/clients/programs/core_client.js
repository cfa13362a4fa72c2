// Node core has no proxy support of its own: CONNECT by hand, then https over that socket, twice on one connection.
const http = require('http');
const https = require('https');
const tls = require('tls');

const proxy = new URL(process.env.HTTPS_PROXY);
const origin = new URL(process.env.BASE_URL);
http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: origin.host})
    .on('connect', (response, socket) => {
      const secure = tls.connect({socket, servername: origin.hostname}, async () => {
        const agent = new https.Agent({keepAlive: true, maxSockets: 1});
        agent.createConnection = () => secure;
        const get = () => new Promise((resolve, reject) => {
          https.get(origin, {agent, headers: {Authorization: 'Bearer ' + process.env.API_KEY}}, (answer) => {
            let text = '';
            answer.on('data', (piece) => text += piece).on('end', () => resolve(text));
          }).on('error', reject);
        });
        console.log(await get(), await get());
        secure.destroy();
      });
    })
    .end();
