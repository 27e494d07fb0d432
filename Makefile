.PHONY: test lint bench build audit
test:  ; ./scripts/test
lint:  ; go list -m -f '{{.Dir}}' | while read -r d; do (cd "$$d" && golangci-lint run ./...) || exit 1; done
bench: ; ./scripts/bench
build: ; cd cmd/larder && go build -trimpath -o ../../bin/larder .
audit: ; ./scripts/audit
