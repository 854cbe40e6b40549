# Everything is done by local/: `local/bootstrap` installs what is missing, `python -m local` runs it.
# Settings are environment variables: GATEWAYS=2 ROUTERS=3 PERSISTERS=2 RESTS=2 CHAT_PORT=8081 make run

.DEFAULT_GOAL := help
.PHONY: help run up down status logs add remove token revoke demo chat trace audit-verify export erase retain \
	observe top bench load capacity chaos overload test fuzz test-browser screenshots audit sbom lint format contracts \
	dashboards lock role-locks
.NOTPARALLEL:

python := .venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## start everything here, stop it at Ctrl-C
	@local/bootstrap
	@$(python) -m local run

up: ## start everything in the background
	@local/bootstrap
	@$(python) -m local up

down: ## stop what runs in the background
	@local/bootstrap --python-only
	@$(python) -m local down

status: ## what runs, where
	@local/bootstrap --python-only
	@$(python) -m local status

logs: ## what the processes print [PROGRAM=router-1] [FOLLOW=1]
	@local/bootstrap --python-only
	@$(python) -m local logs $(PROGRAM) $(if $(FOLLOW),--follow)

add: ## start one more of a role: ROLE=gateway, router, persister or rest
	@local/bootstrap --python-only
	@$(python) -m local add $(ROLE)

remove: ## stop one process: PROGRAM=router-3
	@local/bootstrap --python-only
	@$(python) -m local remove $(PROGRAM)

token: ## print a JWT for development: USER=uuid [SCOPE=service]
	@local/bootstrap --python-only >&2
	@$(python) -m local token "$(USER)" $(SCOPE)

revoke: ## end sessions and refuse tokens: USER=uuid, or TOKEN=its jti
	@local/bootstrap --python-only
	@$(python) -m local exec --as issuer -- $(python) -m local.revoke \
		$(if $(findstring command,$(origin USER)),--user "$(USER)") $(if $(TOKEN),--token "$(TOKEN)") $(ARGS)

demo: ## two users chat through the running system
	@local/bootstrap --python-only
	@$(python) -m local exec -- $(python) -m local.demo $(ARGS)

# The shell has a USER too, the login name: only one that is given to make counts.
chat: ## chat in the terminal: [USER=uuid] [WITH=uuid], or elsewhere: CHAT_TOKEN=… make chat URL=https://…
	@local/bootstrap --python-only
	@$(python) -m local.chat $(if $(findstring command,$(origin USER)),--user "$(USER)") $(if $(WITH),--with "$(WITH)") $(if $(URL),--url "$(URL)")

trace: ## where a message went, with times: ID=messageId
	@local/bootstrap --python-only
	@$(python) -m local exec -- $(python) -m local.trace "$(ID)" $(ARGS)

audit-verify: ## check the audit log's chain of hashes [HASH=one kept from an earlier run]
	@local/bootstrap --python-only
	@$(python) -m local exec -- $(python) migrations/verify_audit_log.py $(HASH)

export: ## all that is held of a person, as JSON: USER=uuid [FILE=person.json]
	@local/bootstrap --python-only >&2
	@$(python) -m local exec --as privacy -- $(python) -m privacy export "$(USER)" $(if $(FILE),"$(FILE)")

erase: ## take away what a person wrote, archive the conversations: USER=uuid
	@local/bootstrap --python-only
	@$(python) -m local exec --as privacy -- $(python) -m privacy erase "$(USER)"

retain: ## take away what is older than CHAT_RETENTION_DAYS
	@local/bootstrap --python-only
	@$(python) -m local exec --as privacy -- $(python) -m privacy retain

observe: ## a Prometheus over what runs, with alerts and dashboards; prints its address
	@local/bootstrap --observe
	@$(python) -m local observe

top: ## rates, latencies, queues and partition owners of what runs, live [ARGS=--once]
	@local/bootstrap --python-only
	@$(python) -m local top $(ARGS)

bench: ## measure a system of its own: messages/s, latency, CPU [ARGS=--help]
	@local/bootstrap --python-only
	@$(python) -m tests.bench $(ARGS)

load: ## locust's users chat with what runs, or HOST=ws://… [ARGS='--headless -u 200 -r 20 -t 30s']
	@local/bootstrap --python-only
	@$(python) -m tests.load $(if $(HOST),--host "$(HOST)") $(ARGS)

capacity: ## what a load needs, what breaks first [ARGS='--connections 1e6 --messages-per-user-day 40', --help]
	@local/bootstrap --python-only
	@$(python) -m tests.bench.capacity $(ARGS)

chaos: ## strike a system of its own with faults, measure recovery [ARGS='--seed 1 --minutes 10']
	@local/bootstrap --tests
	@$(python) -m tests.chaos $(ARGS)

overload: ## twice the load a system of its own can carry, a storm of connects [ARGS=--help]
	@local/bootstrap
	@$(python) -m tests.chaos.overload $(ARGS)

test: ## the test suite against real servers of its own [ARGS='-k name']
	@local/bootstrap --tests
	@CHAT_STACK=test CHAT_MESSAGES_PER_SECOND=$${CHAT_MESSAGES_PER_SECOND:-1000000} \
		CHAT_CALLS_PER_SECOND=$${CHAT_CALLS_PER_SECOND:-1000000} \
		CHAT_SYNCS_PER_SECOND=$${CHAT_SYNCS_PER_SECOND:-1000000} \
		$(python) -m local test -- $(ARGS)

fuzz: ## every decoder under atheris, a system of its own under generated input [MINUTES=10]
	@local/bootstrap --fuzz
	@$(python) -m tests.fuzz --minutes $(or $(MINUTES),10)

test-browser: ## the web chat in Chromium, against real servers of its own [ARGS='-k name']
	@local/bootstrap --browser
	@CHAT_STACK=browser CHAT_MESSAGES_PER_SECOND=$${CHAT_MESSAGES_PER_SECOND:-1000000} \
		$(python) -m local test -- tests/browser $(ARGS)

screenshots: ## take docs/images/ anew
	@local/bootstrap --browser
	@CHAT_STACK=browser CHAT_SCREENSHOTS=docs/images CHAT_MESSAGES_PER_SECOND=50 $(python) -m local test -- \
		tests/browser/test_screenshots.py tests/integration/test_terminal_chat.py::test_its_picture

audit: ## are there known vulnerabilities in any package? Asks PyPI's advisories
	@local/bootstrap --supply
	@for lock in requirements.lock requirements/*.lock; do echo "$$lock" && \
		.venv-supply/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$lock || exit; done

sbom: ## what each role is made of, as CycloneDX, in .run/sbom
	@local/bootstrap --supply
	@$(python) -m local.sbom

lint: ## formatting, lint, types, the walls between the modules, the contracts in docs/
	@local/bootstrap --python-only
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/squawk migrations/versions/*.up.sql
	@$(python) -m tests.contracts --check

format: ## format the code and sort its imports
	@local/bootstrap --python-only
	.venv/bin/ruff check --fix-only --select I
	.venv/bin/ruff format

contracts: ## write docs/openapi.json and docs/asyncapi.json, as the code says them
	@local/bootstrap --python-only
	@$(python) -m tests.contracts

dashboards: ## write Grafana's JSON, as k8s/base/monitoring/dashboards.yaml says it
	@local/bootstrap --python-only
	@$(python) -m local.observability.dashboards

pip_compile := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='make lock' \
	.venv/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: ## make requirements.lock anew from requirements.in, and the locks of the roles
	@local/bootstrap --python-only
	$(pip_compile) --upgrade --output-file requirements.lock requirements.in
	$(pip_compile) --upgrade --output-file requirements/manifests.lock requirements/manifests.in
	$(pip_compile) --upgrade --output-file requirements/supply.lock requirements/supply.in
	$(pip_compile) --upgrade --output-file requirements/fuzz.lock requirements/fuzz.in
	@$(MAKE) --no-print-directory role-locks

role-locks: ## what each role needs of requirements.lock: after a change of an extra in pyproject.toml
	@local/bootstrap --python-only
	@for role in ws_gateway,tracing router,tracing persister,tracing rest_api migrations privacy; do \
		$(pip_compile) --extra $$role --constraint requirements.lock \
			--output-file requirements/$${role%,*}.lock pyproject.toml || exit; \
	done
