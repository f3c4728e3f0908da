# Rules name a setting by its whole path (data.guardrail.settings.hosts): through an import of this package the embedded
# engine evaluates every rule in it, which took as long as everything else that the shipped rules do.

# METADATA
# title: Settings
# description: >-
#   What the shipped rules read from the bundle's data, and what holds where it says nothing. To change one, put a
#   data.json beside your policies: {"settings": {"hosts": ["api.example.com", "*.example.org"]}}.
# scope: package
package guardrail.settings

# METADATA
# title: Hosts of partners, reached without asking
# description: Exact names, or `*.example.com` for every name below example.com. Once given, other hosts are strangers.
default hosts := []

hosts := data.settings.hosts

# METADATA
# title: Hosts on one's own network that agents may reach
default private_hosts := []

private_hosts := data.settings.private_hosts

# METADATA
# title: What happens with strangers
# description: '"ask" or "deny".'
default strangers := "ask"

strangers := data.settings.strangers

# METADATA
# title: Who is asked
# description: 'Any of approvers, quorum and expires_in, as in {"approvers": ["user:anna"], "expires_in": "1h"}.'
default approval := {}

approval := object.filter(data.settings.approval, ["approvers", "quorum", "expires_in"])

# METADATA
# title: Names of files and folders that no agent writes
# description: Whatever their case; `.env.*` is every name that begins with `.env.`.
default protected := [".git", ".ssh", ".gnupg", ".aws", ".kube", ".env", ".env.*", "guardrail.toml"]

protected := data.settings.protected

# METADATA
# title: Names of files and folders that hold credentials
# description: Written as those above.
default credentials := [
	".ssh", ".gnupg", ".aws", ".azure", ".kube", ".env", ".env.*", ".netrc", ".npmrc", ".pypirc", ".git-credentials",
	"id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk",
]

credentials := data.settings.credentials

# METADATA
# title: Refusals of one tool after which an agent may not use it again
default repeats := 5

repeats := data.settings.repeats

# METADATA
# title: Refusals in a run after which it stops
default denials := 25

denials := data.settings.denials

# METADATA
# title: Names of arguments that are shown to nobody
default secret_arguments := [
	"password", "passwd", "passphrase", "secret", "client_secret", "token", "access_token", "refresh_token", "api_key",
	"apikey", "private_key", "authorization", "credentials", "pin", "otp",
]

secret_arguments := data.settings.secret_arguments

# METADATA
# title: Programs that commands may run without asking
# description: As written, alone ("ls") or with a subcommand ("git status"). The last part of a path is not enough.
default programs := []

programs := data.settings.programs

# METADATA
# title: Packages that may be installed without asking
# description: As "ecosystem/name", such as "pypi/requests" or "npm/@types/node".
default packages := []

packages := data.settings.packages

# METADATA
# title: Days for which a package has to be there before it may be installed without asking
default min_age_days := 30

min_age_days := data.settings.min_age_days

# METADATA
# title: Days after which a package may be named like popular ones
default established_days := 365

established_days := data.settings.established_days

# METADATA
# title: What happens with packages that nobody could look up
# description: '"ask" or "deny".'
default unknown_packages := "ask"

unknown_packages := data.settings.unknown_packages

# METADATA
# title: What happens with packages that are young, have appeared or are named like popular ones
# description: '"ask" or "deny".'
default doubtful_packages := "ask"

doubtful_packages := data.settings.doubtful_packages

# METADATA
# title: What happens with packages that are not listed and that nothing speaks against
# description: '"ask", or "pass": other rules decide.'
default unlisted_packages := "pass"

unlisted_packages := data.settings.unlisted_packages

# METADATA
# title: Registries in which only the owner publishes
# description: As facts name them, such as "private:corp". Their packages may be young.
default own_registries := []

own_registries := data.settings.own_registries
