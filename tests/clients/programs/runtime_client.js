// For runtimes whose own fetch goes by the environment: bun, deno. bun's WebSocket wants the proxy as an option.
const url = process.env.BASE_URL;
const ask = (key, more) => fetch(url, {headers: {Authorization: 'Bearer ' + key}, ...more});

function echo() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace('https', 'wss') + '/ws', {proxy: process.env.HTTPS_PROXY, headers: {Authorization: 'Bearer ' + process.env.API_KEY}});
    socket.onopen = () => socket.send('hello');
    socket.onmessage = (message) => {
      socket.close();
      resolve(message.data);
    };
    socket.onerror = (event) => reject(new Error(event.message));
  });
}

(async () => {
  const hello = await ask(process.env.API_KEY);
  const text = await hello.text();
  const refused = await ask('own');
  await refused.text();
  const stream = await ask(process.env.API_KEY, {method: 'POST', body: '{"stream":true}'});
  let events = 0;
  const decoder = new TextDecoder();
  for await (const piece of stream.body) events += decoder.decode(piece, {stream: true}).split('data: ').length - 1;
  if (!hello.ok) throw new Error('status ' + hello.status);
  console.log(text, refused.status, events, await echo());
})().catch((error) => {
  for (let cause = error; cause; cause = cause.cause) console.error(String(cause));
  process.exit(1);
});
