// An MCP client of the official TypeScript SDK, whose directory is the first
// argument, that gets itself a token of the server that is the second: in the
// ways that the extensions of MCP's authorization name, which the Go SDK's
// client for the conformance suite does not know.
const [, , sdk, url] = process.argv;
const { Client } = await import(sdk + "/dist/esm/client/index.js");
const { StreamableHTTPClientTransport } = await import(sdk + "/dist/esm/client/streamableHttp.js");
const { discoverOAuthProtectedResourceMetadata } = await import(sdk + "/dist/esm/client/auth.js");
const { ClientCredentialsProvider, PrivateKeyJwtProvider } = await import(sdk + "/dist/esm/client/auth-extensions.js");

const given = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT);
const secret = { clientId: given.client_id, clientSecret: given.client_secret };

const types = "urn:ietf:params:oauth:token-type:";
const grants = "urn:ietf:params:oauth:grant-type:";

// CrossApp trades the identity that its own company vouches for, for a grant at
// the server's (SEP-990).
class CrossApp extends ClientCredentialsProvider {
  async prepareTokenRequest() {
    const resource = await discoverOAuthProtectedResourceMetadata(url);
    const answer = await fetch(given.idp_token_endpoint, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: grants + "token-exchange", client_id: given.idp_client_id, subject_token: given.idp_id_token,
        subject_token_type: types + "id_token", requested_token_type: types + "id-jag",
        audience: resource.authorization_servers[0], resource: resource.resource,
      }),
    });
    return new URLSearchParams({ grant_type: grants + "jwt-bearer", assertion: (await answer.json()).access_token });
  }
}

const authProvider = {
  "auth/client-credentials-jwt": () => new PrivateKeyJwtProvider({ clientId: given.client_id, privateKey: given.private_key_pem, algorithm: given.signing_algorithm }),
  "auth/client-credentials-basic": () => new ClientCredentialsProvider(secret),
  "auth/cross-app-access-complete-flow": () => new CrossApp(secret),
}[process.env.MCP_CONFORMANCE_SCENARIO]();

const client = new Client({ name: "oauth", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
await client.listTools();
await client.callTool({ name: "test-tool", arguments: {} });
await client.close();
