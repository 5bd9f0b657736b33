# Every command a user or a developer needs; `make help` lists them from the comments after `##`.
# One .venv serves all: `make demo` puts the light default in it (no torch), `make test` adds the rest.
# Stamps named after the contents of pyproject.toml and the lock: a second run installs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
KEY := $(shell cat pyproject.toml requirements.lock | cksum | cut -d' ' -f1)
LIGHT := $(VENV)/.stamp-light-$(KEY)
LLM := $(VENV)/.stamp-llm-$(KEY)
UI := $(VENV)/.stamp-ui-$(KEY)
FULL := $(VENV)/.stamp-full-$(KEY)
PEERS := $(VENV)/.stamp-peers-$(KEY)
PIP := $(BIN)/python -m pip
INSTALL := $(PIP) install -qq --no-input --disable-pip-version-check -c requirements.lock
TORCH := torch==2.13.0
ALL := .[cpu,offline,llm,torch,ui,eval,dev]
LOCKED := .[cpu,offline,llm,torch,ui,eval,dev,bench]
CODE := ragjp ui evals tests indexes
DEMO := $(addprefix indexes/demo/,catalog.sqlite catalog.sqlite-journal catalog.seal segments derived writer.lock seen.json report.jsonl)
DATA := $(or $(RAGJP_DATA),../shared/data)

.PHONY: help demo demo-index demo-llm ui test soak lint format types eval quality bench test-gpu bench-gpu lock clean distclean venv

help: ## この一覧を表示する
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------- for everybody

demo: demo-index ## 試す: 環境を作り、見本の社内文書を索引にし、質問に三つ答える（GPU も torch も不要）
	@for question in "令和6年7月1日から在宅勤務手当は1日いくらになりますか" "USBメモリーを借りられる期間は何日ですか" "就業規則第二十三条で、時間単位の年休は年に何日まで取れますか"; do \
		printf '\n'; $(BIN)/ragjp ask indexes/demo "$$question" --no-stream; done
	@echo
	@printf '%s\n' "ほかの質問をするには:        $(BIN)/ragjp ask indexes/demo \"質問をここに\"" \
		"文書を探すには:              $(BIN)/ragjp search indexes/demo \"探す言葉\"" \
		"ブラウザーで使うには:        make ui" \
		"自分の文書で使うには:        README.ja.md の「自分の文書を使う」"

demo-index: $(LIGHT)
	@echo "見本の文書（indexes/demo/source）を索引にします。変わっていない文書は作り直しません。"
	@$(BIN)/ragjp index indexes/demo.toml || { test $$? = 2 && echo "前の版で作った見本の索引を作り直します。" && \
		rm -rf $(DEMO) && $(BIN)/ragjp index indexes/demo.toml; }

ui: $(UI) demo-index ## ブラウザーで使う: 見本の索引で画面を開く
	@$(BIN)/python -m ui --index indexes/demo

demo-llm: $(LLM) demo-index ## 言語モデルで試す: この機械の中で llama.cpp を動かし、引用を確かめた答えを流す
	@$(BIN)/ragjp ask indexes/demo "在宅勤務は週に何日までできますか" --local-llm --stream

# ---------------------------------------------------------------------------------------- for developers

test: $(FULL) ## 全部調べる: 書式、型、層の向き、テスト（環境がなければ作る）
	@$(MAKE) lint types
	@echo "テストを実行します（数分）"
	@$(BIN)/python -m pytest

soak: $(FULL) ## 長く試す: 止める、壊す、電源を切る試験を全部の回数で行い、ほかの試験は毎回ちがう例で行う（三時間ほど）
	@RAGJP_SOAK=1 $(BIN)/python -m pytest tests/faults tests/device -s -o timeout=14400
	@$(BIN)/python -m pytest --hypothesis-profile=explore -o timeout=3600

lint: $(FULL) ## 書き方と、段どうしの依存の向きを調べる
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/lint-imports --no-cache

format: $(FULL) ## 書式を整える
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

types: $(FULL) ## 型を調べる（mypy --strict）
	@$(BIN)/mypy

eval: $(FULL) ## 公表した条件を、このリポジトリのデータだけで測り直し、期待や基準と比べる（三分以内）
	@$(BIN)/python -m evals.conditions

quality: $(FULL) ## 正しさを測る: 評価用データ（RAGJP_DATA）でも全条件を測り、evals/results と README の表を作り直す
	@test -d "$(DATA)" || { echo "評価用データ $(DATA) がありません。置き場所を RAGJP_DATA で指定してください。"; exit 1; }
	@$(BIN)/python -m evals.conditions --data "$(DATA)" --results evals/results && held=0 || held=$$?; \
		$(BIN)/python -m evals.readme_table --write && exit $$held

# BENCH="--items bm25,maxsim --full" measures some of it, or all of it the long way.
bench: $(PEERS) ## 速さと大きさを、ほかの製品と並べて測る（一時間ほど。結果は evals/results/bench）
	@test -d "$(DATA)" || { echo "評価用データ $(DATA) がありません。置き場所を RAGJP_DATA で指定してください。"; exit 1; }
	@RAGJP_DATA="$(DATA)" $(BIN)/python -m evals.bench $(BENCH)
	@$(BIN)/python -m evals.readme_table --write

# With whatever Python has CuPy: this .venv after `pip install -e '.[gpu]'`, else the machine's own (GPU_PYTHON=python3). 5: no such test.
GPU_PYTHON ?= $(firstword $(wildcard $(BIN)/python) python3)
GPU_TESTS := $(GPU_PYTHON) -m pytest -c tests/gpu/pytest.ini tests/gpu -m gpu
has_gpu := nvidia-smi -L 2>/dev/null | grep -q GPU
no_gpu := echo "この機械に NVIDIA の GPU が見えないので、何も実行していません。理由は ragjp doctor で確かめられます。"

test-gpu: ## GPU が要るテストだけを実行する
	@if $(has_gpu); then $(GPU_TESTS) -k "not bench" || test $$? = 5; else $(no_gpu); fi

bench-gpu: ## GPU の速さを測る（結果は evals/results/gpu）
	@if $(has_gpu); then $(GPU_TESTS) -k bench -s || test $$? = 5; else $(no_gpu); fi

lock: ## requirements.lock を作り直す（新しい環境で全部を入れ、版を書き出す）
	@echo "新しい環境 .venv-lock に全部を入れます（数分）"
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install -qq --disable-pip-version-check '$(TORCH)'
	@.venv-lock/bin/python -m pip install -qq --disable-pip-version-check -e '$(LOCKED)'
	@{ echo "# Exact versions of the full environment, used as constraints (pip install -c). Made by: make lock"; \
		.venv-lock/bin/python -m pip freeze --exclude-editable --exclude ragjp \
		| sed -E 's/^(torch==[0-9.]+)\+.*/\1/' | LC_ALL=C sort -f; } > requirements.lock
	@rm -rf .venv-lock
	@echo "requirements.lock を書きました"

clean: ## 作った見本の索引と、道具が残したものを消す（.venv は残す）
	@rm -rf $(DEMO)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .artifacts
	@find ragjp ui evals tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## .venv も消す
	@rm -rf $(VENV)

# ---------------------------------------------------------------------------------------- environments

venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 以上が見つかりません。入れてから、もう一度実行してください。"; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || { echo "Python の環境 $(VENV) を作ります"; \
		$(PYTHON) -m venv $(VENV) || { echo "環境を作れません。Debian や Ubuntu では apt install python3-venv が要ります。"; exit 1; }; }

$(LIGHT): | venv
	@echo "標準の部品を入れます（初回は約 250 MB を取り寄せ、一、二分かかります）"
	@$(INSTALL) -e '.[cpu,offline]'
	@touch $@

$(LLM): | $(LIGHT)
	@echo "llama.cpp と小さな言語モデルを入れます（初回は約 270 MB を取り寄せます）"
	@$(INSTALL) -e '.[cpu,offline,llm]'
	@touch $@

$(UI): | $(LIGHT)
	@echo "画面の部品を入れます（初回は約 100 MB を取り寄せます）"
	@$(INSTALL) -e '.[cpu,offline,ui]'
	@touch $@

$(FULL): | venv
	@echo "torch を入れます（数分）"
	@$(INSTALL) '$(TORCH)'
	@echo "開発用の部品を全部入れます（数分）"
	@$(INSTALL) -e '$(ALL)'
	@touch $@ $(LIGHT) $(LLM) $(UI)

$(PEERS): | $(FULL)
	@echo "比べる相手の部品を入れます（数分）"
	@$(INSTALL) -e '$(LOCKED)'
	@touch $@
