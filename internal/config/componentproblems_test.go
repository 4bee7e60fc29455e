package config

import (
	"strings"
	"testing"
)

// relaxable is the end of the message about an unknown setting that is an error.
const relaxable = "; with unknown.settings=warn this is a warning"

// Values that look like variables or references.
const (
	noProvider = "warning: looks like a reference to an unknown config provider: it is used as it is. " +
		"Known providers: dir, env and file; the worker's config.providers declares others"
	refusedReference = "looks like a reference to an unknown config provider: it is not sent. " +
		"Known providers: dir, env and file; the worker's config.providers declares others"
	aVariable = "warning: looks like a variable, but the text is used as it is: write ${env:NAME} for a variable of " +
		"the environment"
)

// shop is the beginning of a connector without problems.
const shop = "name=c\nconnector.class=ShopSource\nshop.address=h\n"

// A problemCase is a connector's file and the problems that its check finds.
type problemCase struct{ name, text, want string }

func checkProblems(t *testing.T, cases []problemCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			ch := Checker{Worker: plainWorker(t, ""), Embedded: true}
			expectLines(t, test.text, test.want, ch.CheckComponent(t.Context(), connector(t, test.text), component()))
		})
	}
}

func TestComponentRejectsInvalidValues(t *testing.T) {
	checkProblems(t, []problemCase{
		{"nothing wrong", shop + "shop#00.table=t\nshop#7.table=t\nshop#123.filter#01.low=a", ""},
		{"missing", "connector.class=x",
			`c.properties:1: shop.address: Missing required configuration "shop.address" which has no default value.`},
		{"empty", shop[:strings.Index(shop, "shop.")] + "shop.address=",
			"c.properties:3: shop.address: Invalid value  for configuration shop.address: String must be non-empty"},
		{"number", shop + "shop.port=https",
			"c.properties:4: shop.port: Invalid value https for configuration shop.port: Not a number of type INT"},
		{"bounds", shop + "shop.port=0",
			"c.properties:4: shop.port: Invalid value 0 for configuration shop.port: Value must be at least 1"},
		{"enumeration in any case", shop + "shop.protocol=HTTPS", ""},
		{"enumeration", shop + "shop.protocol=ftp", "c.properties:4: shop.protocol: Invalid value ftp for " +
			"configuration shop.protocol: String must be one of: http, https"},
		{"store types are case-sensitive", shop + "shop.store.type=JKS", "c.properties:4: shop.store.type: Invalid " +
			"value JKS for configuration shop.store.type: String must be one of: jks, pem"},
		{"tasks.max", shop + "tasks.max=0",
			"c.properties:4: tasks.max: Invalid value 0 for configuration tasks.max: Value must be at least 1"},
		{"exactly once", shop + "exactly.once.support=required", "c.properties:4: exactly.once.support: " +
			"expected requested, found required: exactly-once requires a worker's file with bootstrap.servers of a " +
			"Kafka cluster, group.id and exactly.once.source.support=enabled; without a worker's file the embedded " +
			"broker is used, which does not support it"},
		{"an empty name", strings.Replace(shop, "name=c", "name=", 1),
			"c.properties:1: name: expected a name, found nothing; without this line the file's name is used"},
		{"password by its alias", shop + "shop.pwd=secret", ""},
	})
}

// An unknown setting is reported with the nearest known one.
func TestComponentReportsUnknownSettings(t *testing.T) {
	checkProblems(t, []problemCase{
		{"misspelt under the own prefix", shop + "shop#00.filtr#01.low=x",
			"c.properties:4: shop#00.filtr#01.low: unknown setting; the nearest known one is shop#00.filter#01.low" +
				relaxable},
		{"four digits", shop + "shop#0000.table=x",
			"c.properties:4: shop#0000.table: unknown setting; the nearest known one is shop#000.table" + relaxable},
		{"relaxed", shop + "unknown.settings=warn\nshop.adress=x",
			"c.properties:5: shop.adress: warning: unknown setting; the nearest known one is shop.address"},
		{"misspelt elsewhere", shop + "task.max=2",
			"c.properties:4: task.max: warning: unknown setting; the nearest known one is tasks.max"},
		{"like nothing", shop + "zzzzzzzzzzzz=2", "c.properties:4: zzzzzzzzzzzz: warning: unknown setting"},
		{"without its prefix", shop + "table=x",
			"c.properties:4: table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{"without its prefix, with another number", shop + "shop#07.table=t\ntable=x",
			"c.properties:5: table: unknown setting; the nearest known one is shop#07.table" + relaxable},
		{"without its prefix and misspelt", shop + "protocl=http",
			"c.properties:4: protocl: unknown setting; the nearest known one is shop.protocol" + relaxable},
		{"with its number alone", shop + "00.table=x",
			"c.properties:4: 00.table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{"a prefix that is misspelt", shop + "shopp.wait.ms=1",
			"c.properties:4: shopp.wait.ms: unknown setting; the nearest known one is shop.wait.ms" + relaxable},
		{"without its prefix, relaxed", shop + "unknown.settings=warn\ntable=x",
			"c.properties:5: table: warning: unknown setting; the nearest known one is shop#00.table"},
		{"own prefix, wrong one", shop + "shop.table=x",
			"c.properties:4: shop.table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{"own prefix, without what stands between", shop + "shop.ms=1",
			"c.properties:4: shop.ms: unknown setting; the nearest known one is shop.wait.ms" + relaxable},
		{"a template that takes anything", shop + "shop.colour=x",
			"c.properties:4: shop.colour: unknown setting" + relaxable},
		{"a template that takes anything, misspelt", shop + "shop.heder.API-Key=x",
			"c.properties:4: shop.heder.API-Key: unknown setting; the nearest known one is shop.header.API-Key" +
				relaxable},
	})
}

func TestComponentReportsSettingsWithoutEffect(t *testing.T) {
	checkProblems(t, []problemCase{
		{"transform not in the list", shop + "transforms=a\ntransforms.a.type=x\ntransforms.b.type=x",
			"c.properties:6: transforms.b.type: warning: has no effect: transforms does not name b"},
		{"predicate without a list", shop + "predicates.b.type=x",
			"c.properties:4: predicates.b.type: warning: has no effect: predicates does not name b"},
		{"of sinks", shop + "topics=x", "c.properties:4: topics: warning: has no effect: a setting of sinks"},
		{"of the worker", shop + "offset.flush.interval.ms=1", "c.properties:4: offset.flush.interval.ms: warning: " +
			"has no effect: a setting of the worker, which belongs in the worker's file"},
	})
}

// A value that only looks like a reference or a variable is reported. It is not sent where a secret belongs.
func TestComponentReportsTextsThatLookLikeReferences(t *testing.T) {
	checkProblems(t, []problemCase{
		{"a provider that nobody declared", shop + "shop#00.table=${vault:shop:pwd}",
			"c.properties:4: shop#00.table: " + noProvider},
		{"in the place of a secret", shop + "shop.pwd=${vault:shop:pwd}", "c.properties:4: shop.pwd: " +
			refusedReference},
		{"in a part of it", shop + "shop.pwd=a${vault:shop:pwd}b", "c.properties:4: shop.pwd: " + refusedReference},
		{"where a request shows it", shop + "shop.user=${vault:shop:user}", "c.properties:4: shop.user: " +
			refusedReference},
		{"in a converter's secret", shop + "value.converter=x\nvalue.converter.basic.auth.user.info=${vault:a:b}\n" +
			"value.converter.schema.registry.url=${vault:a:b}",
			"c.properties:5: value.converter.basic.auth.user.info: " + refusedReference},
		{"in a client's secret", shop + "producer.override.sasl.jaas.config=${vault:a:b}",
			"c.properties:4: producer.override.sasl.jaas.config: " + refusedReference},
		{"also where that is no number", shop + "tasks.max=${vault:shop:n}", "c.properties:4: tasks.max: " +
			"Invalid value ${vault:shop:n} for configuration tasks.max: Not a number of type INT\n" +
			"c.properties:4: tasks.max: " + noProvider},
		{"a variable of the shell", shop + "shop.pwd=$SHOP_PWD", "c.properties:4: shop.pwd: " + aVariable},
		{"a variable in braces", shop + "shop.pwd=${SHOP_PWD}", "c.properties:4: shop.pwd: " + aVariable},
		{"a variable of Windows", shop + "shop.pwd=%SHOP_PWD%", "c.properties:4: shop.pwd: " + aVariable},
		{"a password with a dollar", shop + "shop.pwd=pa$$word", ""},
		{"an empty password", shop + "shop.pwd=",
			"c.properties:4: shop.pwd: warning: is empty: set a password or remove the line"},
		{"a mask", shop + "shop.pwd=[hidden]",
			"c.properties:4: shop.pwd: expected a password, found the mask that is shown instead of one: write the " +
				"password, or a reference to it such as ${file:PATH:KEY}"},
		{"a password of Kafka's", shop + "producer.override.ssl.key.password=$KEY_PWD",
			"c.properties:4: producer.override.ssl.key.password: " + aVariable},
	})
}
