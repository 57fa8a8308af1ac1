"""A corpus of made-up secrets: every published shape, in every ordinary context.

All are drawn at run time from a seed, so no secret stands in the sources. Shapes are facts of the services that issue
them (prefix, alphabet, length), as the published rules of secret scanners list them.
"""

import base64
import html
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

LOWER = string.ascii_lowercase
UPPER = string.ascii_uppercase
DIGITS = string.digits
ALNUM = LOWER + UPPER + DIGITS
LOWNUM = LOWER + DIGITS
UPNUM = UPPER + DIGITS
HEX = DIGITS + "abcdef"
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"


class Found(NamedTuple):
    """A text that contains a secret; ``core`` must not survive redaction."""

    name: str
    text: str
    core: str


class Shape(NamedTuple):
    """One shape of secret: what stands around the part that must not survive, and how that is drawn.

    ``owner`` names the service for shapes that only its name identifies.
    """

    name: str
    before: str
    alphabet: str
    length: int
    after: str = ""
    owner: str = ""


def _uuid(draw: random.Random) -> str:
    return "-".join("".join(draw.choices(HEX, k=length)) for length in (8, 4, 4, 4, 12))


def _guid(draw: Callable[[str, int], str]) -> str:
    return "-".join(draw(HEX, length) for length in (8, 4, 4, 4, 12))


_PREFIXED: tuple[tuple[str, str, str, int], ...] = (
    ("age", "AGE-SECRET-KEY-1", UPNUM, 58),
    ("adobe client secret", "p8e-", LOWNUM, 32),
    ("alibaba key id", "LTAI", LOWNUM, 20),
    ("anthropic admin", "sk-ant-admin01-", URLSAFE, 95),
    ("anthropic", "sk-ant-api03-", URLSAFE, 95),
    ("artifactory key", "AKCp", ALNUM, 69),
    ("artifactory reference", "cmVmd", ALNUM, 59),
    ("atlassian", "ATATT3", URLSAFE, 186),
    ("aws key id", "AKIA", UPPER + "234567", 16),
    ("aws session key id", "ASIA", UPPER + "234567", 16),
    ("bedrock", "ABSK", BASE64, 110),
    ("clickhouse", "4b1d", ALNUM, 38),
    ("clojars", "CLOJARS_", LOWNUM, 60),
    ("databricks", "dapi", HEX, 32),
    ("digitalocean oauth", "doo_v1_", HEX, 64),
    ("digitalocean", "dop_v1_", HEX, 64),
    ("digitalocean refresh", "dor_v1_", HEX, 64),
    ("docker", "dckr_pat_", URLSAFE, 27),
    ("docker organisation", "dckr_oat_", URLSAFE, 32),
    ("doppler", "dp.pt.", LOWNUM, 43),
    ("doppler service", "dp.st.prd.", LOWNUM, 43),
    ("duffel", "duffel_test_", LOWNUM + "-_", 43),
    ("easypost", "EZAK", ALNUM, 54),
    ("easypost test", "EZTK", ALNUM, 54),
    ("facebook page", "EAAM", ALNUM, 110),
    ("flutterwave", "FLWSECK_TEST-", HEX, 32),
    ("flutterwave public", "FLWPUBK_TEST-", HEX, 32),
    ("fly", "fo1_", URLSAFE, 43),
    ("fly machine", "fm2_", BASE64, 120),
    ("frame.io", "fio-u-", URLSAFE, 64),
    ("google", "AIza", URLSAFE, 35),
    ("google oauth", "GOCSPX-", URLSAFE, 28),
    ("google access", "ya29.", URLSAFE, 60),
    ("github", "ghp_", ALNUM, 36),
    ("github oauth", "gho_", ALNUM, 36),
    ("github app", "ghs_", ALNUM, 36),
    ("github user", "ghu_", ALNUM, 36),
    ("github refresh", "ghr_", ALNUM, 36),
    ("github fine-grained", "github_pat_", ALNUM + "_", 82),
    ("gitlab", "glpat-", URLSAFE, 20),
    ("gitlab trigger", "glptt-", HEX, 40),
    ("gitlab runner", "glrt-", URLSAFE, 20),
    ("gitlab registration", "GR1348941", URLSAFE, 20),
    ("gitlab deploy", "gldt-", URLSAFE, 20),
    ("gitlab job", "glcbt-1a_", URLSAFE, 20),
    ("gitlab feed", "glft-", URLSAFE, 20),
    ("gitlab flags", "glffct-", URLSAFE, 20),
    ("gitlab mail", "glimt-", URLSAFE, 25),
    ("gitlab agent", "glagent-", URLSAFE, 50),
    ("gitlab oauth", "gloas-", URLSAFE, 64),
    ("gitlab scim", "glsoat-", URLSAFE, 20),
    ("grafana", "eyJrIjoi", ALNUM, 80),
    ("grafana cloud", "glc_", BASE64, 48),
    ("grafana service", "glsa_", ALNUM, 32),
    ("heroku", "HRKU-AA", URLSAFE, 58),
    ("hugging face", "hf_", LOWER + UPPER, 34),
    ("hugging face organisation", "api_org_", LOWER + UPPER, 34),
    ("infracost", "ico-", ALNUM, 32),
    ("intra42", "s-s4t2ud-", HEX, 64),
    ("langsmith", "lsv2_pt_", HEX, 32),
    ("linear", "lin_api_", LOWNUM, 40),
    ("mailgun", "key-", HEX, 32),
    ("new relic user", "NRAK-", UPNUM, 27),
    ("new relic insert", "NRII-", URLSAFE.replace("_", ""), 32),
    ("new relic browser", "NRJS-", HEX, 19),
    ("notion", "ntn_", ALNUM, 46),
    ("notion before 2024", "secret_", ALNUM, 43),
    ("npm", "npm_", ALNUM, 36),
    ("octopus", "API-", UPNUM, 26),
    ("openai", "sk-proj-", URLSAFE, 100),
    ("openai before 2024", "sk-", ALNUM, 48),
    ("openshift", "sha256~", URLSAFE, 43),
    ("perplexity", "pplx-", ALNUM, 48),
    ("planetscale", "pscale_tkn_", ALNUM + "_.-", 43),
    ("planetscale oauth", "pscale_oauth_", ALNUM + "_.-", 43),
    ("planetscale password", "pscale_pw_", ALNUM + "_.-", 43),
    ("prefect", "pnu_", ALNUM, 36),
    ("pulumi", "pul-", HEX, 40),
    ("pypi", "pypi-AgEIcHlwaS5vcmc", URLSAFE, 80),
    ("readme", "rdme_", LOWNUM, 70),
    ("replicate", "r8_", ALNUM, 37),
    ("rubygems", "rubygems_", HEX, 48),
    ("scalingo", "tk-us-", URLSAFE, 48),
    ("sentry user", "sntryu_", HEX, 64),
    ("settlemint application", "sm_aat_", ALNUM, 16),
    ("settlemint", "sm_pat_", ALNUM, 16),
    ("shippo", "shippo_live_", HEX, 40),
    ("shopify", "shpat_", HEX, 32),
    ("shopify custom", "shpca_", HEX, 32),
    ("shopify private", "shppa_", HEX, 32),
    ("shopify shared", "shpss_", HEX, 32),
    ("slack bot", "xoxb-123456789012-1234567890123-", ALNUM, 24),
    ("slack user", "xoxp-1234567890-", ALNUM, 32),
    ("slack configuration", "xoxe-1-", UPNUM, 146),
    ("sonar", "squ_", HEX, 40),
    ("sourcegraph", "sgp_", HEX, 40),
    ("square", "EAAA", URLSAFE, 60),
    ("square oauth", "sq0atp-", URLSAFE, 22),
    ("square secret", "sq0csp-", URLSAFE, 43),
    ("stripe", "sk_live_", ALNUM, 24),
    ("stripe restricted", "rk_test_", ALNUM, 24),
    ("stripe webhook", "whsec_", BASE64, 32),
    ("supabase", "sbp_", HEX, 40),
    ("tailscale", "tskey-auth-", ALNUM, 24),
    ("twilio account", "AC", HEX, 32),
    ("twilio key", "SK", HEX, 32),
    ("typeform", "tfp_", ALNUM + "_-", 59),
    ("vault batch", "hvb.", URLSAFE, 140),
    ("vault", "hvs.", URLSAFE, 95),
    ("xai", "xai-", ALNUM, 80),
)
"""A prefix, and as many characters as the service appends."""

_COMPOSED: dict[str, Callable[[Callable[[str, int], str]], tuple[str, str]]] = {
    # Shapes of several parts; the core is the longest random one.
    "1password": lambda r: (
        f"A3-{r(UPNUM, 6)}-{(core := r(UPNUM, 11))}-{r(UPNUM, 5)}-{r(UPNUM, 5)}-{r(UPNUM, 5)}",
        core,
    ),
    "1password service account": lambda r: (f"ops_eyJ{(core := r(BASE64, 260))}==", core),
    "airtable": lambda r: (f"pat{r(ALNUM, 14)}.{(core := r(HEX, 64))}", core),
    "authress": lambda r: (f"sc_{r(LOWNUM, 12)}.{r(LOWNUM, 5)}.acc_{r(LOWNUM, 16)}.{(core := r(ALNUM, 48))}", core),
    "azure client secret": lambda r: (f"{r(ALNUM, 3)}8Q~{(core := r(ALNUM + '_~.-', 34))}", core),
    "cloudflare origin": lambda r: (f"v1.0-{r(HEX, 24)}-{(core := r(HEX, 146))}", core),
    "defined networking": lambda r: (f"dnkey-{r(ALNUM, 26)}-{(core := r(ALNUM, 52))}", core),
    "discord bot": lambda r: (f"M{r(ALNUM, 23)}.{r(ALNUM, 6)}.{(core := r(URLSAFE, 27))}", core),
    "dropbox": lambda r: (f"sl.{(core := r(URLSAFE, 135))}", core),
    "dynatrace": lambda r: (f"dt0c01.{r(UPNUM, 24)}.{(core := r(UPNUM, 64))}", core),
    "gitlab routable": lambda r: (f"glpat-{(core := r(URLSAFE, 27))}.01.{r(LOWNUM, 9)}", core),
    "harness": lambda r: (f"pat.{r(URLSAFE, 22)}.{(core := r(ALNUM, 24))}.{r(ALNUM, 20)}", core),
    "jwt": lambda r: (f"eyJ{r(ALNUM, 30)}.eyJ{(core := r(URLSAFE, 60))}.{r(URLSAFE, 43)}", core),
    "mailchimp": lambda r: (f"{(core := r(HEX, 32))}-us12", core),
    "mailgun signing": lambda r: (f"{(core := r(HEX, 32))}-{r(HEX, 8)}-{r(HEX, 8)}", core),
    "mapbox": lambda r: (f"pk.{(core := r(ALNUM, 60))}.{r(ALNUM, 22)}", core),
    "maxmind": lambda r: (f"{r(ALNUM, 6)}_{(core := r(ALNUM, 29))}_mmk", core),
    "plaid": lambda r: (f"access-sandbox-{r(HEX, 8)}-{r(HEX, 4)}-{r(HEX, 4)}-{r(HEX, 4)}-{(core := r(HEX, 12))}", core),
    "postman": lambda r: (f"PMAK-{r(HEX, 24)}-{(core := r(HEX, 34))}", core),
    "private key": lambda r: (
        f"-----BEGIN RSA PRIVATE KEY-----\n{(core := r(BASE64, 64))}\n{r(BASE64, 40)}==\n-----END RSA PRIVATE KEY-----",
        core,
    ),
    "sendgrid": lambda r: (f"SG.{r(URLSAFE, 22)}.{(core := r(URLSAFE, 43))}", core),
    "sendinblue": lambda r: (f"xkeysib-{(core := r(HEX, 64))}-{r(ALNUM, 16)}", core),
    "sentry organisation": lambda r: (
        f"sntrys_eyJpYXQiO{r(ALNUM, 40)}LCJyZWdpb25fdXJs{r(ALNUM, 30)}_{(core := r(BASE64, 43))}",
        core,
    ),
    "slack app": lambda r: (f"xapp-1-A{r(UPNUM, 10)}-{r(DIGITS, 13)}-{(core := r(HEX, 64))}", core),
    "slack hook": lambda r: (
        f"https://hooks.slack.com/services/T{r(UPNUM, 10)}/B{r(UPNUM, 10)}/{(core := r(ALNUM, 24))}",
        core,
    ),
    "discord hook": lambda r: (f"https://discord.com/api/webhooks/{r(DIGITS, 18)}/{(core := r(URLSAFE, 68))}", core),
    "teams hook": lambda r: (
        f"https://acme.webhook.office.com/webhookb2/{_guid(r)}@{_guid(r)}"
        f"/IncomingWebhook/{(core := r(HEX, 32))}/{_guid(r)}",
        core,
    ),
    "sentry dsn": lambda r: (f"https://{(core := r(HEX, 32))}@o{r(DIGITS, 6)}.ingest.sentry.io/{r(DIGITS, 7)}", core),
    "sidekiq": lambda r: (f"https://{r(HEX, 8)}:{(core := r(HEX, 8))}@gems.contribsys.com/", core),
    "telegram": lambda r: (f"{r(DIGITS, 10)}:AA{(core := r(URLSAFE, 33))}", core),
    "telegram address": lambda r: (
        f"https://api.telegram.org/bot{r(DIGITS, 10)}:AA{(core := r(URLSAFE, 33))}/getMe",
        core,
    ),
    "terraform cloud": lambda r: (f"{r(ALNUM, 14)}.atlasv1.{(core := r(URLSAFE, 67))}", core),
    "vault before 1.10": lambda r: (f"s.{(core := r(ALNUM, 24))}", core),
    "yandex": lambda r: (f"t1.{r(URLSAFE, 40)}.{(core := r(URLSAFE, 86))}", core),
    "azure storage": lambda r: (
        f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={(core := r(BASE64, 86))}==;EndpointSuffix=x",
        core,
    ),
    "gitlab session": lambda r: (f"Cookie: _gitlab_session={(core := r(HEX, 32))}", core),
}

_OWNED: tuple[tuple[str, str, str, int], ...] = (
    ("adafruit", "", URLSAFE.lower(), 32),
    ("adobe", "", HEX, 32),
    ("airtable", "", LOWNUM, 17),
    ("algolia", "", LOWNUM, 32),
    ("alibaba", "", LOWNUM, 30),
    ("asana", "", LOWNUM, 32),
    ("atlassian", "", LOWNUM, 24),
    ("jira", "", LOWNUM, 24),
    ("beamer", "b_", LOWNUM, 44),
    ("bitbucket", "", LOWNUM, 32),
    ("bittrex", "", LOWNUM, 32),
    ("meraki", "", HEX, 40),
    ("cloudflare", "", LOWNUM, 40),
    ("codecov", "", LOWNUM, 32),
    ("cohere", "", ALNUM, 40),
    ("coinbase", "", LOWNUM, 64),
    ("confluent", "", LOWNUM, 16),
    ("contentful", "", LOWNUM, 43),
    ("datadog", "", LOWNUM, 40),
    ("discord", "", HEX, 64),
    ("droneci", "", LOWNUM, 32),
    ("dropbox", "", LOWNUM, 15),
    ("etsy", "", LOWNUM, 24),
    ("facebook", "", HEX, 32),
    ("fastly", "", LOWNUM, 32),
    ("finicity", "", HEX, 32),
    ("finnhub", "", LOWNUM, 20),
    ("flickr", "", LOWNUM, 32),
    ("freshbooks", "", LOWNUM, 64),
    ("gitter", "", LOWNUM, 40),
    ("gocardless", "live_", LOWNUM, 40),
    ("heroku", "", "uuid", 36),
    ("hubspot", "", "uuid", 36),
    ("intercom", "", LOWNUM, 60),
    ("artifactory", "", LOWNUM, 73),
    ("jfrog", "", LOWNUM, 64),
    ("kraken", "", BASE64, 88),
    ("kucoin", "", HEX, 24),
    ("launchdarkly", "", LOWNUM, 40),
    ("linear", "", HEX, 32),
    ("linkedin", "", LOWNUM, 16),
    ("lob_api", "live_", HEX, 35),
    ("looker", "", LOWNUM, 24),
    ("mattermost", "", LOWNUM, 26),
    ("messagebird", "", LOWNUM, 25),
    ("netlify", "", LOWNUM, 43),
    ("newrelic", "", LOWNUM, 64),
    ("nytimes", "", LOWNUM, 32),
    ("okta", "00", ALNUM, 40),
    ("plaid", "", LOWNUM, 30),
    ("privateai", "", LOWNUM, 32),
    ("rapidapi", "", LOWNUM, 50),
    ("sendbird", "", HEX, 40),
    ("sentry", "", HEX, 64),
    ("snyk", "", "uuid", 36),
    ("sonar", "", LOWNUM, 40),
    ("squarespace", "", "uuid", 36),
    ("sumo", "", LOWNUM, 64),
    ("travis", "", LOWNUM, 22),
    ("twitch", "", LOWNUM, 30),
    ("twitter", "", LOWNUM, 50),
    ("yandex", "YC", URLSAFE, 38),
    ("zendesk", "", LOWNUM, 40),
)
"""Values without a prefix, which only the service's name identifies."""

CONTEXTS: dict[str, Callable[[str], str]] = {
    "environment file": lambda value: f"DEBUG=1\nACME={value}\nPORT=80\n",
    "JSON": lambda value: json.dumps({"debug": True, "acme": value}),
    "YAML": lambda value: f"acme:\n  value: {value}\n  debug: true\n",
    "command line": lambda value: f"$ acme deploy --to prod --with {value} --wait",
    "log line": lambda value: f"2026-01-02T03:04:05Z INFO acme: using {value} for upstream",
    "header": lambda value: f"GET / HTTP/1.1\r\nX-Acme: {value}\r\nAccept: */*\r\n",
    "Python": lambda value: f'client = Client("{value}", timeout=3)',
    "JavaScript": lambda value: f"const client = new Client('{value}', {{timeout: 3}});",
    "JSON in JSON": lambda value: json.dumps({"out": json.dumps({"acme": value})}),
    "percent-encoded": lambda value: f"https://example.org/?x=1&acme={quote(value, safe='')}&y=2",
    "HTML": lambda value: f"<p>it is &quot;{html.escape(value)}&quot;</p>",
    "base64": lambda value: base64.b64encode(f"acme is {value}, ok".encode()).decode(),
    "terminal colours": lambda value: f"\x1b[1m\x1b[32m{value}\x1b[0m done",
}
"""Where a secret stands that is known by its own shape."""

OWNED_CONTEXTS: dict[str, Callable[[str, str], str]] = {
    "environment file": lambda owner, value: f"DEBUG=1\n{owner.upper()}_ACCESS={value}\nPORT=80\n",
    "shell": lambda owner, value: f"export {owner.upper()}_API_KEY='{value}'",
    "JSON": lambda owner, value: json.dumps({"debug": True, f"{owner}ApiKey": value}),
    "JSON in JSON": lambda owner, value: json.dumps({"out": json.dumps({f"{owner}_token": value})}),
    "YAML": lambda owner, value: f"services:\n  {owner}_client: {value}\n  debug: true\n",
    "Python": lambda owner, value: f'{owner}_secret = "{value}"',
    "JavaScript": lambda owner, value: f"const config = {{{owner}: '{value}'}};",
}
"""Where a secret stands beside the name of its service."""


def _drawer(draw: random.Random) -> Callable[[str, int], str]:
    def random_text(alphabet: str, length: int) -> str:
        """Random characters with both letters and digits among them where the alphabet has both, as real ones have."""
        while True:
            text = "".join(draw.choices(alphabet, k=length))
            mixed = any(each.isdigit() for each in text) and any(each.isalpha() for each in text)
            if (mixed or alphabet.isdigit() or alphabet.isalpha()) and text[-1].isalnum() and text[0].isalnum():
                return text

    return random_text


def shapes(seed: int) -> Iterator[Found]:
    """One secret of every published shape, alone, or beside its service's name."""
    draw = random.Random(seed)
    text = _drawer(draw)
    for name, prefix, alphabet, length in _PREFIXED:
        core = text(alphabet, length)
        yield Found(name, prefix + core, core)
    for name, compose in _COMPOSED.items():
        whole, core = compose(text)
        yield Found(name, whole, core)


def owned(seed: int) -> Iterator[tuple[str, Found]]:
    """The services' names, each with a value that only the name identifies."""
    draw = random.Random(seed)
    text = _drawer(draw)
    for owner, prefix, alphabet, length in _OWNED:
        core = _uuid(draw) if alphabet == "uuid" else text(alphabet, length)
        yield owner, Found(owner, prefix + core, core)


def in_contexts(seed: int) -> Iterator[Found]:
    """Every shape in every context that it may stand in."""
    for found in shapes(seed):
        for context, place in CONTEXTS.items():
            yield Found(f"{found.name} in {context}", place(found.text), found.core)
    for owner, found in owned(seed):
        for context, place_beside in OWNED_CONTEXTS.items():
            yield Found(f"{owner} in {context}", place_beside(owner, found.text), found.core)


_NAMED: tuple[str, ...] = (
    # {} is the secret: a password, a token or a key. One line each of what agents read, write and print.
    "DB_PASSWORD={}",
    "export DB_PASS={}",
    "SMTP_PASS='{}'",
    "MYSQL_PWD={} mysqldump shop > shop.sql",
    "PGPASSWORD={} psql -h db shop",
    "REDIS_PASSWORD: {}",
    "JWT_SECRET={}",
    "SECRET_KEY_BASE={}",
    "STRIPE_KEY={}",
    "ENCRYPTION_KEY={}",
    "APP_KEY={}",
    "AUTH_TOKEN={}",
    "SESSION_SECRET={}",
    "TF_VAR_db_password={}",
    'password = "{}"',
    "password: {}",
    '  db_password: "{}"',
    '"password": "{}",',
    '"clientSecret": "{}"',
    '"apiKey": "{}"',
    '"accessToken":"{}"',
    '"refresh_token": "{}"',
    '"private_key_password": "{}"',
    "'passphrase' => '{}',",
    "define('DB_PASSWORD', '{}');",
    'os.environ["API_TOKEN"] = "{}"',
    "os.environ.setdefault('API_TOKEN', '{}')",
    'token = os.getenv("API_TOKEN", "{}")',
    "const password = '{}';",
    "let apiKey = `{}`;",
    'String password = "{}";',
    'private static final String API_KEY = "{}";',
    "conn = connect(host='db', user='shop', password='{}')",
    'client = Client(api_key="{}")',
    "spring.datasource.password={}",
    "jdbc:mysql://db/shop?user=shop&password={}",
    "Server=db;Database=shop;User Id=shop;Password={};Encrypt=true",
    "host=db dbname=shop user=shop password={}",
    "postgresql://shop:{}@db:5432/shop",
    "mysql://shop:{}@db/shop",
    "redis://:{}@cache:6379/0",
    "mongodb+srv://shop:{}@cluster.example.net/shop",
    "amqp://shop:{}@queue:5672/%2f",
    "https://shop:{}@example.org/repo.git",
    "git clone https://oauth2:{}@gitlab.example.org/shop.git",
    "https://example.org/cb?access_token={}&state=1",
    "https://example.org/v1?api_key={}",
    "curl -u shop:{} https://example.org",
    "curl -s --user 'shop:{}' https://example.org/api",
    "curl -X POST -ushop:{} https://example.org",
    "curl -H 'Authorization: Bearer {}' https://example.org",
    'curl -H "X-Api-Key: {}" https://example.org',
    "curl --header 'PRIVATE-TOKEN: {}' https://gitlab.example.org",
    "wget --password={} https://example.org/x",
    "wget --http-password '{}' https://example.org/x",
    "sshpass -p {} ssh shop@host",
    "sshpass -p '{}' scp x shop@host:",
    "mysql -u root -p{} shop",
    "mysqldump -h db -u shop -p'{}' shop",
    "mariadb -ushop -p{} shop",
    "redis-cli -h cache -a {} ping",
    "docker login -u shop -p {} registry.example.org",
    "az login -u shop -p {}",
    "helm install x --set auth.password={}",
    "acme --token {} deploy",
    "acme --api-key={} deploy",
    "acme --client-secret {} deploy",
    "echo {} | sudo -S apt update",
    "echo 'shop:{}' | chpasswd",
    "openssl enc -aes-256-cbc -pass pass:{} -in x",
    "openssl rsa -passin pass:{} -in key.pem",
    "htpasswd -bc users shop {}",
    "kubectl create secret generic x --from-literal=password={}",
    "aws configure set aws_secret_access_key {}",
    "npm config set //registry.npmjs.org/:_authToken {}",
    "//registry.npmjs.org/:_authToken={}",
    "machine example.org login shop password {}",
    "db.example.org:5432:shop:shop:{}",
    "*:*:*:postgres:{}",
    "localhost:5433:*:shop:{}",
    "ENV DB_PASSWORD {}",
    "ARG NPM_TOKEN={}",
    "      - name: DB_PASSWORD\n        value: {}",
    '{{"name": "DB_PASSWORD", "value": "{}"}}',
    "<password>{}</password>",
    '<add key="Password" value="{}" />',
    "CREATE USER shop IDENTIFIED BY '{}';",
    "ALTER USER shop WITH PASSWORD '{}';",
    "CREATE ROLE shop LOGIN PASSWORD '{}';",
    "Authorization: Bearer {}",
    "Authorization: token {}",
    "'Authorization': 'Bearer {}'",
    "Proxy-Authorization: Bearer {}",
    "X-Auth-Token: {}",
    "X-Vault-Token: {}",
    "Ocp-Apim-Subscription-Key: {}",
    "Cookie: theme=dark; sessionid={}; lang=en",
    "Set-Cookie: session={}; Path=/; HttpOnly",
    "Cookie: PHPSESSID={}",
    "the password is {}.",
    "Your new password is: {}",
    "login with token {}",
    "INFO  connecting with password={} to db",
    "DEBUG auth {{'user': 'shop', 'password': '{}'}}",
    "password => {}",
    '$env:DB_PASSWORD = "{}"',
    "set DB_PASSWORD={}",
    'credentials = {{ password = "{}" }}',
    'variable "db_password" {{ default = "{}" }}',
    "PrivateKey = {}",
    "requirepass {}",
    "AccountKey={}==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey={}",
    "https://x.blob.core.windows.net/c?sv=2022&sig={}&se=2026",
    "aws_secret_access_key = {}",
    "AWS_SESSION_TOKEN={}",
    'telegram_bot_token = "123456789:AA{}"',
    "kind: Secret\ndata:\n  any.name: {}\n",
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  user: {}\n",
    "root:$6$saltsalt${}{}:19000:0:99999:7:::",
    "admin:$2b$12${}{}",
    "shop:$apr1$saltsalt${}",
    '"auths": {{"registry.example.org": {{"auth": "BASE64:shop:{}"}}}}',
    "_auth = BASE64:shop:{}",
    "Authorization: Basic BASE64:shop:{}",
)


def named(seed: int) -> Iterator[Found]:
    """A secret without a shape of its own in every ordinary line that says what it is."""
    draw = random.Random(seed)
    text = _drawer(draw)
    for line in _NAMED:
        secret = text(ALNUM, 24)
        before, is_encoded, plain = line.format(*[secret] * line.count("{}")).partition("BASE64:")
        if is_encoded:
            plain, quoted, rest = plain.partition('"')
            encoded = base64.b64encode(plain.encode()).decode()
            yield Found(line, before + encoded + quoted + rest, encoded[-20:])
        else:
            yield Found(line, before, secret)
