package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// relaxable is the end of the message about an unknown setting that is an error.
const relaxable = "; with unknown.settings=warn this is a warning"

// Values that look like variables or references.
const (
	noProvider = "warning: looks like a reference to an unknown config provider: it is used as it is. Known " +
		"providers: dir, env and file; the worker's config.providers declares others"
	refusedReference = "looks like a reference to an unknown config provider: it is not sent. Known providers: dir, " +
		"env and file; the worker's config.providers declares others"
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
			connector := resolve(t, resolvedtest.Shop(), test.text)
			resolvedtest.ExpectLines(t, test.text, test.want, settingsOf(connector).problems(t.Context()))
		})
	}
}

func TestComponentRejectsInvalidValues(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "nothing wrong", text: shop + "shop#00.table=t\nshop#7.table=t\nshop#123.filter#01.low=a"},
		{name: "missing", text: "connector.class=x",
			want: "c.properties:1: shop.address: Missing required configuration \"shop.address\" which has no " +
				"default value."},
		{name: "empty", text: shop[:strings.Index(shop, "shop.")] + "shop.address=",
			want: "c.properties:3: shop.address: Invalid value  for configuration shop.address: String must be " +
				"non-empty"},
		{name: "number", text: shop + "shop.port=https",
			want: "c.properties:4: shop.port: Invalid value https for configuration shop.port: Not a number of type " +
				"INT"},
		{name: "bounds", text: shop + "shop.port=0",
			want: "c.properties:4: shop.port: Invalid value 0 for configuration shop.port: Value must be at least 1"},
		{name: "enumeration in any case", text: shop + "shop.protocol=HTTPS"},
		{name: "enumeration", text: shop + "shop.protocol=ftp",
			want: "c.properties:4: shop.protocol: Invalid value ftp for configuration shop.protocol: String must be " +
				"one of: http, https"},
		{name: "store types are case-sensitive", text: shop + "shop.store.type=JKS",
			want: "c.properties:4: shop.store.type: Invalid value JKS for configuration shop.store.type: String must " +
				"be one of: jks, pem"},
		{name: "tasks.max", text: shop + "tasks.max=0",
			want: "c.properties:4: tasks.max: Invalid value 0 for configuration tasks.max: Value must be at least 1"},
		{name: "exactly once", text: shop + "exactly.once.support=required",
			want: "c.properties:4: exactly.once.support: expected requested, found required: exactly-once requires a " +
				"worker's file with bootstrap.servers of a Kafka cluster, group.id and " +
				"exactly.once.source.support=enabled; without a worker's file the embedded broker is used, which " +
				"does not support it"},
		{name: "an empty name", text: strings.Replace(shop, "name=c", "name=", 1),
			want: "c.properties:1: name: expected a name, found nothing; without this line the file's name is used"},
		{name: "password by its alias", text: shop + "shop.pwd=secret"},
	})
}

// An unknown setting is reported with the nearest known one.
func TestComponentReportsUnknownSettings(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "misspelt under the own prefix", text: shop + "shop#00.filtr#01.low=x",
			want: "c.properties:4: shop#00.filtr#01.low: unknown setting; the nearest known one is " +
				"shop#00.filter#01.low" +
				relaxable},
		{name: "four digits", text: shop + "shop#0000.table=x",
			want: "c.properties:4: shop#0000.table: unknown setting; the nearest known one is " +
				"shop#000.table" + relaxable},
		{name: "relaxed", text: shop + "unknown.settings=warn\nshop.adress=x",
			want: "c.properties:5: shop.adress: warning: unknown setting; the nearest known one is shop.address"},
		{name: "misspelt elsewhere", text: shop + "task.max=2",
			want: "c.properties:4: task.max: warning: unknown setting; the nearest known one is tasks.max"},
		{name: "like nothing", text: shop + "zzzzzzzzzzzz=2",
			want: "c.properties:4: zzzzzzzzzzzz: warning: unknown setting"},
		{name: "without its prefix", text: shop + "table=x",
			want: "c.properties:4: table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{name: "without its prefix, with another number", text: shop + "shop#07.table=t\ntable=x",
			want: "c.properties:5: table: unknown setting; the nearest known one is shop#07.table" + relaxable},
		{name: "without its prefix and misspelt", text: shop + "protocl=http",
			want: "c.properties:4: protocl: unknown setting; the nearest known one is shop.protocol" + relaxable},
		{name: "with its number alone", text: shop + "00.table=x",
			want: "c.properties:4: 00.table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{name: "a prefix that is misspelt", text: shop + "shopp.wait.ms=1",
			want: "c.properties:4: shopp.wait.ms: unknown setting; the nearest known one is shop.wait.ms" + relaxable},
		{name: "without its prefix, relaxed", text: shop + "unknown.settings=warn\ntable=x",
			want: "c.properties:5: table: warning: unknown setting; the nearest known one is shop#00.table"},
		{name: "own prefix, wrong one", text: shop + "shop.table=x",
			want: "c.properties:4: shop.table: unknown setting; the nearest known one is shop#00.table" + relaxable},
		{name: "own prefix, without the middle part", text: shop + "shop.ms=1",
			want: "c.properties:4: shop.ms: unknown setting; the nearest known one is shop.wait.ms" + relaxable},
		{name: "a template that accepts any name", text: shop + "shop.colour=x",
			want: "c.properties:4: shop.colour: unknown setting" + relaxable},
		{name: "a template that accepts any name, misspelt", text: shop + "shop.heder.API-Key=x",
			want: "c.properties:4: shop.heder.API-Key: unknown setting; the nearest known one is shop.header.API-Key" +
				relaxable},
	})
}

func TestComponentReportsSettingsWithoutEffect(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "transform not in the list", text: shop + "transforms=a\ntransforms.a.type=x\ntransforms.b.type=x",
			want: "c.properties:6: transforms.b.type: warning: has no effect: transforms does not name b"},
		{name: "predicate without a list", text: shop + "predicates.b.type=x",
			want: "c.properties:4: predicates.b.type: warning: has no effect: predicates does not name b"},
		{name: "of sinks", text: shop + "topics=x",
			want: "c.properties:4: topics: warning: has no effect: a setting of sinks"},
		{name: "of the worker", text: shop + "offset.flush.interval.ms=1",
			want: "c.properties:4: offset.flush.interval.ms: warning: has no effect: a setting of the worker, which " +
				"belongs in the worker's file"},
	})
}

// A value that only looks like a reference or a variable is reported. It is not sent where a secret belongs.
func TestComponentReportsTextsThatLookLikeReferences(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "a provider that nobody declared", text: shop + "shop#00.table=${vault:shop:pwd}",
			want: "c.properties:4: shop#00.table: " + noProvider},
		{name: "in the place of a secret", text: shop + "shop.pwd=${vault:shop:pwd}",
			want: "c.properties:4: shop.pwd: " +
				refusedReference},
		{name: "in a part of it", text: shop + "shop.pwd=a${vault:shop:pwd}b",
			want: "c.properties:4: shop.pwd: " + refusedReference},
		{name: "where a request shows it", text: shop + "shop.user=${vault:shop:user}",
			want: "c.properties:4: shop.user: " +
				refusedReference},
		{name: "in a converter's secret",
			text: shop + "value.converter=x\nvalue.converter.basic.auth.user.info=${vault:a:b}\n" +
				"value.converter.schema.registry.url=${vault:a:b}",
			want: "c.properties:5: value.converter.basic.auth.user.info: " + refusedReference},
		{name: "in a client's secret", text: shop + "producer.override.sasl.jaas.config=${vault:a:b}",
			want: "c.properties:4: producer.override.sasl.jaas.config: " + refusedReference},
		{name: "also where that is no number", text: shop + "tasks.max=${vault:shop:n}",
			want: "c.properties:4: tasks.max: Invalid value ${vault:shop:n} for configuration tasks.max: Not a " +
				"number of type INT\n" +
				"c.properties:4: tasks.max: " + noProvider},
		{name: "a variable of the shell", text: shop + "shop.pwd=$SHOP_PWD",
			want: "c.properties:4: shop.pwd: " + aVariable},
		{name: "a variable in braces", text: shop + "shop.pwd=${SHOP_PWD}",
			want: "c.properties:4: shop.pwd: " + aVariable},
		{name: "a variable of Windows", text: shop + "shop.pwd=%SHOP_PWD%",
			want: "c.properties:4: shop.pwd: " + aVariable},
		{name: "a password with a dollar", text: shop + "shop.pwd=pa$$word"},
		{name: "an empty password", text: shop + "shop.pwd=",
			want: "c.properties:4: shop.pwd: warning: is empty: set a password or remove the line"},
		{name: "a mask", text: shop + "shop.pwd=[hidden]",
			want: "c.properties:4: shop.pwd: expected a password, found the mask that is shown instead of one: write " +
				"the password, or a reference to it such as ${file:PATH:KEY}"},
		{name: "a password of Kafka's", text: shop + "producer.override.ssl.key.password=$KEY_PWD",
			want: "c.properties:4: producer.override.ssl.key.password: " + aVariable},
	})
}

// A missing setting of a group is reported at the first line of the group.
func TestMissingGroupSettingIsReportedAtGroup(t *testing.T) {
	connector := resolve(t, resolvedtest.Shop(), "connector.class=x\nshop#00.table=t\nshop#01.table=t")
	missing := []wit.ConfigValue{
		{Key: wit.ConfigKey{Name: "shop#01.service"}, Errors: []string{"missing"}},
		{Key: wit.ConfigKey{Name: "shop.address"}, Errors: []string{"missing"}},
	}
	want := "c.properties:3: shop#01.service: missing\nc.properties:1: shop.address: missing"
	resolvedtest.ExpectLines(t, "all", want, validationProblems(connector, "", missing, nil))
}

// Problems and printed values contain no password.
func TestPasswordsAreNeverShown(t *testing.T) {
	written := resolvedtest.Connector(t, "connector.class=x\nshop.address=h\nshop.password=hunter2\nshop.port=hunter2")
	// A value from a provider.
	written.Entries[3].Value = new(secret.Redactor).NewSecret("hunter2", true, "hunter2")
	connector := resolved.Resolver{Worker: resolvedtest.Worker(t, "")}.ResolveAs(written, resolvedtest.Shop())
	output := fmt.Sprint(settingsOf(connector).problems(t.Context()), connector, connector.Entries, connector.Roles())
	assert.True(t, !strings.Contains(output, "hunter2"), "expected no secret, found one in %s", output)
	spec := wit.ConfigKey{Kind: wit.KindPassword, Rules: []wit.Rule{{Pattern: wit.Ptr("[a-z]+")}}}
	if text := config.CheckValue(&spec, "hunter2", true); text == "" || strings.Contains(text, "hunter2") {
		t.Errorf("expected a problem that does not show the value, found %q", text)
	}
}

// A secret is rejected in a setting that is shown, and no message contains it.
func TestSecretInAPublicRole(t *testing.T) {
	component := plugin.NewComponent(&wit.Component{Name: "x", Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		resolvedtest.Declare("shop.pwd", wit.KindString, "", setting.Role("http.address")),
		resolvedtest.Declare("shop.code", wit.KindInt, "")}})
	rules := settingsOf(resolve(t, component, "name=x\nconnector.class=x\nshop.pwd=hunter2\nshop.code=hunter3"))
	rules.secrets = config.Declare(resolvedtest.Declare("shop.pwd", wit.KindPassword, ""),
		resolvedtest.Declare("shop.code", wit.KindPassword, ""))
	resolvedtest.ExpectLines(t, "secrets of another plugin", "c.properties:3: shop.pwd: is a secret, but the plugin "+
		"declares it as http.address, whose values are shown: it is not used\n"+
		"c.properties:4: shop.code: Invalid value [hidden] for configuration shop.code: Not a number of type INT",
		rules.problems(t.Context()))
}

// A configuration that REST received is checked like a file, where initial_state is no setting.
func TestInitialStateOfRESTHasNoEffect(t *testing.T) {
	sent := map[string]string{"name": "n", "connector.class": "x", "initial_state": "PAUSED"}
	connector := resolved.Resolver{}.ResolveAs(config.NewRESTConnector("the request", sent, nil, nil),
		plugin.NewComponent(&wit.Component{}))
	resolvedtest.ExpectLines(t, "from REST", "the request: initial_state: warning: has no effect in a configuration: "+
		"expected in the connector's file, or next to config in POST /connectors",
		settingsOf(connector).problems(t.Context()))
}
