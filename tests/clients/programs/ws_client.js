const WebSocket = require('ws');

(async () => {
  const {HttpsProxyAgent} = await import(require.resolve('https-proxy-agent'));
  const socket = new WebSocket(process.env.BASE_URL.replace('https', 'wss') + '/ws',
                               {agent: new HttpsProxyAgent(process.env.HTTPS_PROXY), headers: {Authorization: 'Bearer ' + process.env.API_KEY}});
  socket.on('open', () => socket.send('hello'));
  socket.on('message', (text) => {
    console.log(String(text));
    socket.close();
  });
  socket.on('error', (error) => {
    console.error(String(error));
    process.exit(1);
  });
})();
