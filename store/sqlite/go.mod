module github.com/larder-go/larder/store/sqlite

go 1.26.0
