const {Anthropic} = require('@anthropic-ai/sdk');
const undici = require('undici');

(async () => {
  const client = new Anthropic({apiKey: process.env.API_KEY, baseURL: process.env.BASE_URL + '/anthropic', maxRetries: 0,
                                fetch: undici.fetch, fetchOptions: {dispatcher: new undici.ProxyAgent(process.env.HTTPS_PROXY)}});
  const question = {model: 'm1', max_tokens: 9, messages: [{role: 'user', content: 'hi'}]};
  const message = await client.messages.create(question);
  const streamed = await client.messages.stream(question).finalText();
  console.log(message.content[0].text, streamed);
})().catch((error) => {
  for (let cause = error; cause; cause = cause.cause) console.error(String(cause));
  process.exit(1);
});
