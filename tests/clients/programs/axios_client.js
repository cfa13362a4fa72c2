// axios goes by the environment itself.
const axios = require('axios');
const {Readable} = require('stream');

(async () => {
  const client = axios.create({validateStatus: () => true});
  const ask = (key, more) => client.request({url: process.env.BASE_URL, headers: {Authorization: 'Bearer ' + key}, ...more});
  const hello = await ask(process.env.API_KEY);
  const refused = await ask('own');
  const uploaded = await ask(process.env.API_KEY, {method: 'POST', data: Readable.from(['up', 'loaded'])});
  if (hello.status !== 200) throw new Error('status ' + hello.status);
  console.log(hello.data, refused.status, uploaded.data);
})().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
