module github.com/larder-go/larder/integration

go 1.26.0
