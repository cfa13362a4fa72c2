const {OpenAI} = require('openai');
const undici = require('undici');

(async () => {
  const client = new OpenAI({apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL + '/v1', maxRetries: 0,
                             fetch: undici.fetch, fetchOptions: {dispatcher: new undici.ProxyAgent(process.env.HTTPS_PROXY)}});
  const models = await client.models.list();
  let text = '';
  for await (const chunk of await client.chat.completions.create({model: 'm1', messages: [{role: 'user', content: 'hi'}], stream: true})) {
    text += chunk.choices[0].delta.content || '';
  }
  console.log(models.data[0].id, text);
})().catch((error) => {
  for (let cause = error; cause; cause = cause.cause) console.error(String(cause));
  process.exit(1);
});
