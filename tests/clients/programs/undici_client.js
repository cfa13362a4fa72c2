const {ProxyAgent, request} = require('undici');

(async () => {
  const dispatcher = new ProxyAgent(process.env.HTTPS_PROXY);
  const get = (key) => request(process.env.BASE_URL, {dispatcher, headers: {Authorization: 'Bearer ' + key}});
  const hello = await get(process.env.API_KEY);
  const text = await hello.body.text();
  const refused = await get('own');
  await refused.body.text();
  console.log(text, refused.statusCode);
  await dispatcher.close();
})();
