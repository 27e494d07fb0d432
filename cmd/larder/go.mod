module github.com/larder-go/larder/cmd/larder

go 1.26.0
