module github.com/larder-go/larder/bench

go 1.26.0
