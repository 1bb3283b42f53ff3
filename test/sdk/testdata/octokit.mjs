// What an agent does with Octokit, as its documentation has it: the address and
// the token come from the environment.
import { Octokit } from "@octokit/rest";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl: process.env.BASE_URL, log: quiet });
const docs = { owner: "acme", repo: "docs" };
const out = {};

async function attempt(name, work) {
  try {
    out[name] = await work();
  } catch (error) {
    out[name] = `${error.status}: ${error.message}`;
  }
}

await attempt("paginate", async () =>
  (await octokit.paginate(octokit.rest.issues.listForRepo, { ...docs, state: "open", per_page: 2 })).map((i) => i.number));
await attempt("issue", async () => (await octokit.rest.issues.get({ ...docs, issue_number: 7 })).data.title);
await attempt("comment", async () => (await octokit.rest.issues.createComment({ ...docs, issue_number: 7, body: "Seen." })).status);
await attempt("label", async () => (await octokit.rest.issues.addLabels({ ...docs, issue_number: 7, labels: ["bug"] })).status);
await attempt("create ref", async () =>
  (await octokit.rest.git.createRef({ ...docs, ref: "refs/heads/agent/new", sha: "0123456789012345678901234567890123456789" })).status);
await attempt("delete ref", async () => (await octokit.rest.git.deleteRef({ ...docs, ref: "heads/agent/tmp" })).status);
await attempt("graphql", async () =>
  (await octokit.graphql("query($n:Int!){repository(owner:\"acme\",name:\"docs\"){issue(number:$n){title}}}", { n: 7 })).repository.issue.title);

await attempt("another repository", async () => (await octokit.rest.issues.listForRepo({ owner: "acme", repo: "secret" })).status);
await attempt("another label", async () => (await octokit.rest.issues.addLabels({ ...docs, issue_number: 7, labels: ["release-blocker"] })).status);
await attempt("release ref", async () => (await octokit.rest.git.deleteRef({ ...docs, ref: "heads/release-1.0" })).status);
await attempt("dots", async () => (await octokit.rest.git.deleteRef({ ...docs, ref: "heads/agent/../release-1.0" })).status);
await attempt("graphql mutation", async () => octokit.graphql("mutation{deleteRef(input:{refId:\"REF_1\"}){clientMutationId}}"));
console.log(JSON.stringify(out));
