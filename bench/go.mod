module github.com/larder-go/larder/bench

go 1.26.0

require (
	github.com/bartventer/httpcache v0.13.0
	github.com/gregjones/httpcache v0.0.0-20190611155906-901d90724c79
	github.com/larder-go/larder v0.0.0
	github.com/larder-go/larder/store/redis v0.0.0
	github.com/larder-go/larder/store/sqlite v0.0.0
	github.com/maypok86/otter/v2 v2.4.0
	github.com/redis/rueidis v1.0.79
	modernc.org/sqlite v1.61.1
)

require (
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/btree v1.1.3 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/peterbourgon/diskv v2.0.1+incompatible // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/sys v0.49.0 // indirect
	modernc.org/libc v1.79.0 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace github.com/larder-go/larder => ../

replace github.com/larder-go/larder/store/sqlite => ../store/sqlite

replace github.com/larder-go/larder/store/redis => ../store/redis
