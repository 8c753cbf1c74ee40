// sdk.js: Tencent's own client against fakevod, so that the fake is held to what a real client sends and reads.
// usage: node sdk.js MODULES http:// HOST:PORT SECRET_ID SECRET_KEY ACTION JSON; prints the answer, or the error's code.
const [modules, protocol, endpoint, secretId, secretKey, action, parameters] = process.argv.slice(2);
const { vod } = require(`${modules}/node_modules/tencentcloud-sdk-nodejs-vod`);

const client = new vod.v20180717.Client({
  credential: { secretId, secretKey },
  profile: { httpProfile: { endpoint, protocol, reqTimeout: 10 } },
});
client[action](JSON.parse(parameters)).then(
  (answer) => console.log(JSON.stringify(answer)),
  (error) => console.log(JSON.stringify({ code: error.code ?? String(error) })),
);
