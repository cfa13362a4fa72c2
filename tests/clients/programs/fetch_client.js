// fetch of Node: by its own NODE_USE_ENV_PROXY where it has it, else by undici's agent for the same variables.
const [major, minor] = process.versions.node.split('.').map(Number);
const own = major > 22 || (major === 22 && minor >= 21);
let get = fetch;
let Socket = globalThis.WebSocket;
if (!own || process.argv[2] === 'agent') {
  const undici = require('undici');
  undici.setGlobalDispatcher(new undici.EnvHttpProxyAgent());
  get = undici.fetch;
  Socket = undici.WebSocket;
}

// WebSockets go the same way.
function echo(url) {
  return new Promise((resolve, reject) => {
    const socket = new Socket(url.replace('https', 'wss') + '/ws', {headers: {Authorization: 'Bearer ' + process.env.API_KEY}});
    socket.onopen = () => socket.send('hello');
    socket.onmessage = (message) => {
      socket.close();
      message.data === 'hello' ? resolve() : reject(new Error('not what was sent: ' + message.data));
    };
    socket.onerror = (event) => reject(event.error);
  });
}

(async () => {
  const url = process.env.BASE_URL;
  const ask = async (key, more) => get(url, {headers: {Authorization: 'Bearer ' + key}, ...more});
  const hello = await (await ask(process.env.API_KEY)).text();
  const refused = await ask('own');
  await refused.text();
  const stream = await ask(process.env.API_KEY, {method: 'POST', body: '{"stream":true}'});
  let events = 0;
  const decoder = new TextDecoder();
  for await (const piece of stream.body) events += decoder.decode(piece, {stream: true}).split('data: ').length - 1;
  await echo(url);
  console.log(hello, refused.status, events);
})().catch((error) => {
  for (let cause = error; cause; cause = cause.cause) console.error(String(cause));
  process.exit(1);
});
