# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# dynalite, from npm. Its tables are kept until the next up.

dynamo_install() {
	local sum program=$state/dynalite
	need dynamo node nodejs
	need dynamo npm npm
	sum=$(cat "$here/dynalite"/package*.json | sha256sum)
	if [ "$(cat "$program/sum" 2>/dev/null)" = "$sum" ]; then return; fi
	say "installing dynalite"
	rm -rf "$program"
	mkdir -p "$program"
	cp "$here/dynalite"/package*.json "$program"
	(cd "$program" && npm ci --ignore-scripts --no-audit --no-fund) >"$run/log/dynamo" 2>&1 || failed dynamo "cannot be installed by npm"
	echo "$sum" >"$program/sum"
}

dynamo_serve() {
	launch dynamo node "$state/dynalite/node_modules/dynalite/cli.js" --host 127.0.0.1 --port "$(port_of dynamo)" \
		--path "$run/dynamo/data" --createTableMs 0 --updateTableMs 0 --deleteTableMs 0
}

dynamo_answers() {
	(
		exec 8<>"/dev/tcp/127.0.0.1/$(port_of dynamo)"
		printf 'GET / HTTP/1.0\r\n\r\n' >&8
		read -rt 5 line <&8
		[[ $line = HTTP/1.* ]]
	) 2>/dev/null
}

dynamo_variables() {
	echo "DYNAMODB_ENDPOINT=http://127.0.0.1:$(port_of dynamo)"
	printf '%s\n' DYNAMODB_FLAVOUR=dynalite AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \
		AWS_EC2_METADATA_DISABLED=true
}
