# The scripts do the work; `make` lists what there is.

.DEFAULT_GOAL := help
.PHONY: help up down build test check fmt bench hooks

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

up: ## start Redis, MariaDB and RocketMQ on this machine
	@scripts/up

down: ## stop them
	@scripts/down

build: ## bin/seckill
	go build -trimpath -o bin/ ./cmd/...

test: ## all tests, against real servers
	@scripts/test

check: ## gofmt, vet, the linters, known vulnerabilities
	@test -z "$$(find . -name '*.go' -not -path './.*' | xargs gofmt -l | tee /dev/stderr)"
	go vet ./...
	go vet -tags e2e ./...
	@scripts/lint
	@scripts/vulnerable

fmt: ## format as the linters require
	@scripts/lint fmt

bench: ## Go benchmarks of the hot paths, with allocations; those of stores need the servers
	go test -run "^$$" -bench . -benchmem ./order/mysql ./stock ./api ./queue/rocketmq

hooks: ## check every commit
	git config core.hooksPath scripts/hooks
