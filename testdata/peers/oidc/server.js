// A token service for client credentials on 127.0.0.1:PORT, by oidc-provider. Clients, each with the secret of SECRET: "by-header"
// (client_secret_basic) and "by-body" (client_secret_post), both with the scope "odata:read". GET /check answers 204 where the request
// shows a token of this service that is valid and has the scope, else 401: it is what nginx's auth_request asks.
// Prints READY, then one line for each token and each refusal.
import Provider from 'oidc-provider';
import { createServer } from 'node:http';

const { PORT, SECRET, LIFE = '60' } = process.env;
const client = (client_id, token_endpoint_auth_method) => ({ client_id, client_secret: SECRET, token_endpoint_auth_method,
  grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'odata:read' });
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [client('by-header', 'client_secret_basic'), client('by-body', 'client_secret_post')],
  scopes: ['odata:read'],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  ttl: { ClientCredentials: Number(LIFE) },
});
provider.on('grant.success', ctx => console.log(`token ${ctx.oidc.client.clientId} ${ctx.oidc.params.scope}`));
provider.on('grant.error', (ctx, err) => console.log(`refused ${err.error}`));
const issuer = provider.callback();
createServer(async (req, res) => {
  if (req.url !== '/check') return issuer(req, res);
  const [scheme, value] = (req.headers.authorization || '').split(' ');
  const token = scheme === 'Bearer' && value ? await provider.ClientCredentials.find(value) : undefined;
  res.writeHead(token && token.isValid && token.scope === 'odata:read' ? 204 : 401).end();
}).listen(Number(PORT), '127.0.0.1', () => console.log('READY'));
