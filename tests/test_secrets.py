"""What is masked and what is left alone. In the texts below the secret stands between ‹ and ›.

No key here is one: they are put together so that no scanner of this repository takes them for real.
"""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flash_ls.secrets import is_secret_file, mask

RANDOM = "q7Zk2XvB9mTt4LwPc8RjY3NdHs6FgKe1Ua5W"
HEX = "9f86d081884c7d659a2feaa0c55ad015"
KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
BEGIN, END = "-----BEGIN RSA PRIVATE" + " KEY-----", "-----END RSA PRIVATE" + " KEY-----"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{RANDOM}"


def marked(text: str) -> tuple[str, str]:
    """The text without its marks, and as it should be masked."""
    plain, expected = "", ""
    for index, part in enumerate(text.replace("›", "‹").split("‹")):
        plain += part
        expected += part if index % 2 == 0 else "".join(char if char in "\r\n" else "*" for char in part)
    return plain, expected


@pytest.mark.parametrize(
    "key",
    [
        "AKIA" + "Q3EGRXTL7ZVN5YJW",
        "ASIA" + "Q3EGRXTL7ZVN5YJW",
        "ghp_" + RANDOM,
        "gho_" + RANDOM,
        "github_pat_" + RANDOM,
        "glpat-" + RANDOM[:20],
        "xoxb-" + "2048763091-" + RANDOM[:20],
        "sk_live_" + RANDOM[:24],
        "rk_live_" + RANDOM[:24],
        "AIza" + RANDOM[:35],
        "sk-" + RANDOM,
        "sk-ant-" + "api03-" + RANDOM,
        "sk-proj-" + RANDOM,
        "npm_" + RANDOM,
        "pypi-" + "AgEIcHlwaS5vcmc" + RANDOM,
        "SG." + RANDOM[:22] + "." + RANDOM,
        "SK" + HEX,
        "hf_" + RANDOM,
        "hooks.slack.com/services/" + "T0123ABCD/B0123ABCD/" + RANDOM[:24],
        JWT,
    ],
)
@pytest.mark.parametrize(
    "frame", ["{}", "x = f({})", "# see {}, or not", "\t<a>{}</a>\r\n", "**{}**", "é {}", '["a {} b"]']
)
def test_known_keys_are_masked_wherever_they_stand(key: str, frame: str) -> None:
    assert mask(frame.format(key)) == frame.format("*" * len(key))


@pytest.mark.parametrize(
    "text",
    [
        'password = "‹hunter2-prod-9x›"',
        "DB_PASSWORD = '‹hunter2-prod-9x›'",
        'const string dbPassword = @"‹s3cr!tBlue›";',
        'password: str = "‹hunter2-prod-9x›"  # é',
        'const password string = "‹hunter2-prod-9x›"',
        'const PASSWORD: &str = "‹hunter2-prod-9x›";',
        '{"password": "‹hunter2-prod-9x›", "user": "anna"}',
        r'"{\"password\": \"‹hunter2-prod-9x›\"}"',
        'config["passwd"] = "‹hunter2-prod-9x›"',
        "connect(user='anna', pwd='‹hunter2-prod-9x›', port=1)",
        'if (password == "‹hunter2-prod-9x›") {',
        '#define DB_PASS "‹hunter2-prod-9x›"',
        "let secret = `‹blue-4-Horse›`",
        'passphrase := "‹blue4Horse\\"s›"',
        f'SECRET_KEY = "‹{HEX}›"',
        f"api_key = '‹{RANDOM}›'",
        f'apiKey: "‹{HEX}›",',
        f'os.environ.setdefault("API_KEY", "‹{RANDOM}›")',
        f'client.setToken("‹{RANDOM}›")',
        f'"encryption-key" => "‹{RANDOM}›"',
        f"export AUTH_TOKEN=‹{RANDOM}›\n",
        f"  access_key: ‹{RANDOM}›  # é",
        "PASSWORD=‹hunter2-prod-9x›\nUSER=anna",
        'postgres://anna:‹blue4Horse›@localhost:5432/shop"',
        f"curl -H 'Authorization: Bearer ‹{RANDOM}›'",
        f'x = "‹{RANDOM}›"',
        f"{BEGIN}\n‹{KEY_LINE}›\n‹{KEY_LINE}›\n‹q7Zk2w==›\n{END}\nreturn\n",
        f'k = """{BEGIN}\r\nProc-Type: 4,ENCRYPTED\r\n\r\n‹{KEY_LINE}›\r\n‹q7Zk2w==›\r\n{END}"""\r\n',
        f'"{BEGIN}\\n‹{KEY_LINE}›\\n‹q7Zk2w==›\\n{END}\\n"',
        f'"{BEGIN}\\n" +\n  "‹{KEY_LINE}›\\n" +\n  "‹q7Zk2w›\\n" +\n  "{END}"',
        f"{BEGIN}\n‹{KEY_LINE}›\n‹{KEY_LINE}›",
    ],
)
def test_secrets_are_masked_and_nothing_else(text: str) -> None:
    plain, expected = marked(text)
    assert mask(plain) == expected


@pytest.mark.parametrize(
    "text",
    [
        "password = get_password()",
        "token = tokenizer.next()",
        "token = parser2.next_token2\n",
        "secret: str",
        "password: Sha256Hash\n",
        "token: u32,",
        '"arn:aws:secretsmanager:*:*:secret:rds-2-custom*"',
        '"password": "string"',
        'password = ""',
        'password = "..."',
        'token = "<token>"',
        'password = "${DB_PASSWORD1}"',
        'password = f"{settings.password1}"',
        'password = "$DB_PASSWORD1"',
        'api_key = "YOUR_API_KEY_1"',
        'api_key = "xxxxxxxx-1234"',
        'password = "changeme1"',
        'password = "%(password1)s"',
        'password = "test-user-1"',
        'x = "b1abfaaepdrnnbgefbadotcwatmq2g4l"',
        f'blob = "{RANDOM * 8}"',
        'secret_name = "prod/db1/creds9"',
        'token_url = "https://example.com/oauth2/v1/token"',
        'fields = ["password", "password2", "email1"]',
        'label(password, "Enter your 2 passwords")',
        'tokenizer = load("bert-base-uncased-v2-large")',
        'auth = "XMLHTTPRPC-JWKJWTQRPKZX"',
        'auth = "oauth2-client-credentials"',
        'author = "anna2000-berlin-de"',
        'id = "550e8400-e29b-41d4-a716-446655440000"',
        f'sha256 = "{HEX}{HEX}"',
        f'rev = "{RANDOM}"',
        f'"integrity": "sha512-{RANDOM}{RANDOM}=="',
        f'src = "data:image/png;base64,iVBORw0KGgo{RANDOM}"',
        f'icon = "iVBORw0KGgo{RANDOM}"',
        'alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"',
        'path = "/usr/share/Fonts/truetype/DejaVu2/DejaVuSansMono"',
        "import { getServerSideProps2 } from 'components/layout/HeaderNavigationMenu2'",
        '<div class="sk-fading-circle sk-circle12 sk-cube-grid-container">',
        "http://user:password@host http://{user}:{password}@host http://localhost:8080/@anna",
        "Basic authentication-and-authorization, Bearer your-token-goes-here-1",
        f'if "{BEGIN}" in text:\n    authenticationSucceeded\n    return None\n',
        "https://example.com/eyJ.eyJ ghp_short AKIAX sk-1 npm_install",
    ],
)
def test_ordinary_code_is_left_alone(text: str) -> None:
    assert mask(text) == text


PIECES = st.sampled_from(
    [
        *(
            " ",
            "\t",
            "\r\n",
            "\n",
            "\r",
            '"',
            "'",
            "`",
            "\\",
            "=",
            " = ",
            ": ",
            ", ",
            "(",
            "@",
            "://",
            "-",
            ".",
            "_",
            "*",
            "***",
        ),
        *(
            "password",
            "token",
            "api_key",
            "secret_name",
            "sha256",
            "é",
            "😀",
            "\ud800",
            "x1",
            "hunter2-prod-9x",
            "Bearer ",
        ),
        *("ghp_", "AKIA", "eyJ", "sk-", "SG.", "your", RANDOM, RANDOM[:20], HEX, KEY_LINE, JWT, "ghp_" + RANDOM),
        *(
            "postgres://anna:blue4Horse@db",
            f'password = "{RANDOM}"',
            f'x = "{RANDOM}"',
            "-----BEGIN ",
            "PRIVATE KEY-----",
        ),
    ]
)
BLOCK = f"\n{BEGIN}\n{KEY_LINE}\nq7Zk2w==\n{END}\n"
TEXTS = st.lists(PIECES | st.just(BLOCK) | st.just(BEGIN + "\n"), max_size=25).map("".join)
PARTS = (
    st.lists(PIECES | st.just(BLOCK), max_size=25)
    .map("".join)
    .filter(lambda text: text.count(BEGIN) == text.count(END))
)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example(f'password = "sha256-blue4Horse"; x = "{RANDOM}"')
@example(f"AKIAQ3EGRXTL7ZVN5YJWghp_{RANDOM}")
@example(f'token_ghp_{RANDOM}_secret = "blue4Horse"')
@example(f"{BEGIN}\n{JWT}=")
@example(f"{BEGIN}\n{JWT}\n{KEY_LINE}\n")
@example(f"{BEGIN}\n{JWT}:\n{KEY_LINE}\n")
@example(f"{BEGIN}\n{KEY_LINE}{BEGIN}\n")
@example(f'{BEGIN}\npassword_of_the_shop "hunter2!prod-9x"\n{KEY_LINE}\n')
def test_masking_keeps_every_offset_and_changes_nothing_the_second_time(text: str) -> None:
    masked = mask(text)
    assert len(masked) == len(text)
    assert all(new in ("*", old) for old, new in zip(text, masked, strict=True))
    assert [char for char in masked if char in "\r\n"] == [char for char in text if char in "\r\n"]
    assert mask(masked) == masked


@settings(max_examples=400, deadline=None)
@given(PARTS, PARTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_text_may_be_masked_in_parts_that_end_with_lines(first: str, second: str, end: str) -> None:
    if end == "\r" and second.startswith("\n"):
        second = second[1:]
    assert mask(first + end + second) == mask(first + end) + mask(second)


HOSTILE = [
    *(
        "a",
        " ",
        '"',
        "'",
        "=",
        "token",
        "token ",
        "token=",
        'token="',
        "token='`\"",
        'token=\\"',
        "password:",
        "pass=a",
        "\\",
    ),
    *(
        "eyJ",
        "eyJ-",
        "eyJaaaaaaaa.",
        "sk-",
        "ghp_",
        "AKIA",
        "://",
        "://a:",
        "://a:b",
        "bearer ",
        "basic",
        "%a",
        "<",
        "{",
        "$",
        "x",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        BEGIN + KEY_LINE,
        "-----BEGIN ",
        'PASSWORD="<',
        "token:token",
        f'"{RANDOM}',
        "\\n",
        "é",
        "@",
    ),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_is_linear_in_any_text(unit: str) -> None:
    start = time.process_time()
    for before in ("", "token", BEGIN + 'password="'):
        for after in ('"\n', "!"):
            mask(before + unit * (100_000 // len(unit)) + after)
    assert time.process_time() - start < 2


SECRET_FILES = """
.env .env.local .ENV.Production prod.env a/b/.env server.pem server.KEY cert.p12 cert.pfx app.jks app.keystore x.kdbx
x.ovpn id_rsa id_rsa_work id_ed25519 id_ecdsa .netrc .npmrc .pypirc .pgpass .htpasswd .git-credentials
home/.aws/credentials .docker/config.json .kube/config service-account.json service-account-prod.json
my-credentials.json credentials.json secrets.yml secrets.yaml secrets.json config/secrets.toml terraform.tfstate
prod.tfvars .ssh/config .vault-token
"""
OTHER_FILES = """
.env.example .env.sample .env.template id_rsa.pub id_ed25519.pub env.py environment.ts keys.py secrets.py
credentials.py credentials.ts .env.d/load.py id_rsa/parse.py secret_service.go config.json
src/config kube/config.json token.rs monkey .envelope pem.go test.envrc.md
"""


@pytest.mark.parametrize("path", SECRET_FILES.split())
def test_secret_files(path: str) -> None:
    assert is_secret_file(path)
    assert is_secret_file(f"/home/anna/{path}")
    assert is_secret_file(f"C:\\anna\\{path}".replace("/", "\\").upper())


@pytest.mark.parametrize("path", OTHER_FILES.split())
def test_other_files(path: str) -> None:
    assert not is_secret_file(path)
    assert not is_secret_file(f"/home/anna/{path}")
