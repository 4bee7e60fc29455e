package sourceconfig

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/config/configtest"
	"github.com/culvert-project/culvert/wit"
)

// Every setting of the original connector is supported, an alias, or rejected by name.
func TestNamesOfTheOriginal(t *testing.T) {
	configtest.CheckNames(t, V2.Table, "source", "../../../testdata/overview-names.txt")
}

// With exactly-once a load with missing rows fails, unless incomplete.load allows that it is read again.
func TestIncompleteLoad(t *testing.T) {
	for value, fails := range map[string]bool{"": true, "reload": false, "fail": true} {
		config := configtest.Source(append(configtest.Set("00", "Orders"), "sap.odata#00.incomplete.load="+value,
			ExactlyOnce+"=enabled")...)
		sets := V2.EntitySets(V2.Table.Values(config))
		assert.True(t, len(sets) == 1 && sets[0].ExactlyOnce == fails, "%q: found %+v", value, sets)
	}
	_, ok := V2.Table.Find("sap.odata#00.unsound")
	assert.True(t, !ok, "expected no other name")
}

// configuration is a connector's settings, and the setting and the start of its error. Both are empty if it has none.
type configuration struct {
	settings []string
	setting  string
	message  string
}

func checkConfigurations(t *testing.T, configurations []configuration) {
	t.Helper()
	for _, test := range configurations {
		setting := ""
		message := ""
		for _, value := range V2.Examine(configtest.Source(test.settings...)) {
			if len(value.Errors) > 0 && (setting == "" || value.Key.Name == test.setting) {
				setting = value.Key.Name
				message = value.Errors[0]
			}
		}
		assert.True(t, setting == test.setting && strings.HasPrefix(message, test.message) &&
			(test.message == "") == (message == ""),
			"%v: expected %s: %s, found %s: %s", test.settings, test.setting, test.message, setting, message)
	}
}

// An entity set has all its settings, and is configured once.
func TestEntitySetIsRequiredOnce(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	checkConfigurations(t, []configuration{
		{orders, "", ""},
		{append(orders, "sap.odata.format=ATOM", "sap.odata#00.track-changes=FALSE",
			"sap.odata#00.decimal.mapping=Primitive"), "", ""},
		{nil, "sap.odata#00.service", "No entity set is configured"},
		{orders[:2], "sap.odata#00.topic", "Missing required"},
		{append(orders, "sap.odata#00.entityset=Orders?$top=1&SAP-Client=200"), "sap.odata#00.entityset",
			"Invalid value Orders?$top=1&SAP-Client=200 for configuration"},
		{append(orders, configtest.Set("1", "Orders/")...), "sap.odata#1.entityset",
			"Entity set Orders of /V2/Northwind/Northwind.svc is already configured in sap.odata#00.entityset"},
		{append(append(orders, configtest.Set("1", "Orders")...), "sap.odata#1.id=again"), "", ""},
	})
}

// A set is read by one schedule, which delta mode requires.
func TestSchedulesAreChecked(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	checkConfigurations(t, []configuration{
		{append(orders, "sap.odata#00.track-changes=1"), "sap.odata#00.exec-period",
			"Delta mode with sap.odata#00.exec-period = -1 would never request changes"},
		{append(orders, "sap.odata#00.exec-period=0"), "sap.odata#00.exec-period", "Invalid value 0"},
		{append(orders, "sap.odata#00.exec-period=-2"), "sap.odata#00.exec-period", "Invalid value -2"},
		{append(orders, "sap.odata#00.cron.expression=0 0 22 ? * MON-FRI Europe/Berlin", "sap.odata.paging=TOP"),
			"", ""},
		{append(orders, "sap.odata#00.cron.expression=0 22 * *"), "sap.odata#00.cron.expression",
			"Invalid value 0 22 * * for configuration sap.odata#00.cron.expression: expected six fields"},
		{append(orders, "sap.odata.cron.expression=0 0 22 * * ?", "sap.odata#00.exec-period=5"),
			"sap.odata.cron.expression", "Invalid value 0 0 22 * * ? for configuration sap.odata.cron.expression: " +
				"expected it without sap.odata#00.exec-period, found both"},
		{append(orders, "sap.odata#00.cursor.lookback=5"), "sap.odata#00.cursor.lookback",
			"Invalid value  for configuration sap.odata#00.cursor.lookback: expected sap.odata#00.cursor.property " +
				"with it"},
	})
}

// A condition has a property, a known operator and the values of this operator.
func TestConditionsAreChecked(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	checkConfigurations(t, []configuration{
		{append(orders, "sap.odata#00.filter#00.property=OrderID"), "sap.odata#00.filter#00.property",
			"Missing required configuration \"sap.odata#00.filter#00.option\""},
		{append(orders, configtest.Condition("0", "OrderID", "EQ", "1")...), "", ""},
		{append(orders, configtest.Condition("0", "OrderID", "like", "1")...), "sap.odata#00.filter#0.option",
			"Invalid value like for configuration sap.odata#00.filter#0.option: String must be one of: eq, ne, " +
				"le, lt, ge, gt, bt, nb, in"},
		{append(orders, configtest.Condition("0", "OrderID", "bt", "1")...), "sap.odata#00.filter#0.property",
			"Missing required configuration \"sap.odata#00.filter#0.high\""},
		{append(orders, configtest.Condition("0", "OrderID", "eq", "1", "2")...), "sap.odata#00.filter#0.high",
			"Invalid value 2 for configuration sap.odata#00.filter#0.high: expected it with the operators " +
				"bt and nb only, found eq"},
		{append(orders, "sap.odata#00.filter#0.option=eq", "sap.odata#00.filter#0.low=1"),
			"sap.odata#00.filter#0.option", "Missing required configuration \"sap.odata#00.filter#0.property\""},
		{append(orders, "sap.odata#00.filtr#00.property=OrderID"), "sap.odata#00.filtr#00.property",
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
	})
}

// The expression for delta links and its replacement have the syntax of Java.
func TestReplacementOfDeltaLinksIsChecked(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	checkConfigurations(t, []configuration{
		{append(orders, "sap.odata#00.delta.link.regex=(?<=deltatoken=)'(?<t>[^']*+)'",
			"sap.odata#00.delta.link.replacement=${t}\\$"), "", ""},
		{append(orders, "sap.odata#00.delta.link.regex=(a"), "sap.odata#00.delta.link.regex",
			"Invalid value (a for configuration sap.odata#00.delta.link.regex: expected a regular expression of " +
				"Java: Unclosed group near index 2"},
		{append(orders, "sap.odata#00.delta.link.regex=a", "sap.odata#00.delta.link.replacement=$1"),
			"sap.odata#00.delta.link.replacement", "Invalid value $1 for configuration " +
				"sap.odata#00.delta.link.replacement: expected a replacement, in Java's syntax, for matches of " +
				"sap.odata#00.delta.link.regex: No group 1"},
	})
}

// Settings of the connection have known values, and agree about the SAP client.
func TestConnectionSettingsAreChecked(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	checkConfigurations(t, []configuration{
		{append(orders, "sap.odata.sap.client=100", "sap.odata.sap.client.in=QUERY"), "", ""},
		{append(orders, "sap.odata.sap.client.in=header"), "", ""},
		{append(orders, "sap.odata.sap.client.in=cookie"), "sap.odata.sap.client.in",
			"Invalid value cookie for configuration sap.odata.sap.client.in: String must be one of: header, query"},
		{append(orders, "sap.odata.destination=S4", "sap.odata.sap.client.in=query"), "sap.odata.sap.client.in",
			"Invalid value query for configuration sap.odata.sap.client.in: expected sap.odata.sap.client with it"},
		{append(orders, "sap.odata.destination=S4", "sap.odata.sap.client=100", "sap.odata.sap.client.in=query"),
			"", ""},
		{append(orders, "sap.odata.sap.client=100", "sap.odata#00.service=/s?sap-client=200"), "sap.odata#00.service",
			"Invalid value /s?sap-client=200 for configuration sap.odata#00.service: it names the SAP client 200"},
		{append(orders, "sap.odata.keystore.location=x", "sap.odata.proxy.type=HTTP", "sap.odata.auth.type=oauth2"),
			"", ""},
		{append(orders, "sap.odata.keystore.type=jks"), "", ""},
		{append(orders, "sap.odata.keystore.type=JKS"), "sap.odata.keystore.type",
			"Invalid value JKS for configuration sap.odata.keystore.type: String must be one of: jceks, jks"},
		{append(orders, "sap.odata.auth.type=digest"), "sap.odata.auth.type", "Invalid value digest"},
		{append(orders, "sap.odata.min.retry.backoff.ms=20000"), "sap.odata.min.retry.backoff.ms",
			"Invalid value 20000"},
		{append(orders, "sap.odata.host.port=0"), "sap.odata.host.port", "Invalid value 0"},
	})
}

// A subscription has an address, ports and changes to read.
func TestSubscriptionsAreChecked(t *testing.T) {
	orders := configtest.Set("00", "Orders")
	subscribed := append(configtest.Set("00", "Orders"), "sap.odata#00.subscription.enable=1",
		"sap.odata.subscription.dest=C", "sap.odata.subscription.ports=8301,8302")
	checkConfigurations(t, []configuration{
		{append(orders, "sap.odata#00.subscription.enable=1", "sap.odata.subscription.ports=8301"),
			"sap.odata.subscription.dest",
			"sap.odata#00.subscription.enable = 1 needs sap.odata.subscription.dest or sap.odata.subscription.url"},
		{append(orders, "sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C"),
			"sap.odata.subscription.ports", "sap.odata#00.subscription.enable = 1 needs sap.odata.subscription.ports"},
		{append(subscribed, "sap.odata.subscription.url=http://h"), "sap.odata.subscription.url",
			"Expected sap.odata.subscription.dest or sap.odata.subscription.url, found both"},
		{append(orders, "sap.odata.subscription.url=h:1"), "sap.odata.subscription.url", "Invalid value h:1"},
		{append(subscribed, "sap.odata.subscription.dest=urn:x"), "sap.odata.subscription.dest", "Invalid value urn:x"},
		{append(orders, "sap.odata.subscription.ports=8301,x"), "sap.odata.subscription.ports", "Invalid value 8301,x"},
		{append(orders, "sap.odata.subscription.ports=65536"), "sap.odata.subscription.ports", "Invalid value 65536"},
		{append(subscribed, "sap.odata.subscription.password=x"), "sap.odata.subscription.user",
			"sap.odata.subscription.password needs sap.odata.subscription.user"},
		{append(subscribed, "sap.odata.subscription.user=x"), "sap.odata.subscription.password",
			"sap.odata.subscription.user needs sap.odata.subscription.password"},
		{append(subscribed, "sap.odata#00.filter#00.property=OrderID", "sap.odata#00.filter#00.option=gt",
			"sap.odata#00.filter#00.low=1"), "sap.odata#00.subscription.enable",
			"sap.odata#00.subscription.enable = 1 in full mode with exec-period = -1"},
		{append(subscribed, "sap.odata#00.query=search=x&%24Filter=OrderID%20gt%201"),
			"sap.odata#00.subscription.enable",
			"sap.odata#00.subscription.enable = 1 in full mode with exec-period = -1"},
		{append(subscribed, "sap.odata#00.track-changes=1"), "", ""},
		{subscribed, "", ""},
	})
}

// Settings that were found valid are not examined again. Changed ones are, also if the caller changed them in place.
func TestFirstErrorAfterValidSettings(t *testing.T) {
	settings := configtest.Source(configtest.Set("00", "Orders")...)
	for range 2 {
		failure := V2.FirstError(settings)
		assert.True(t, failure == nil, "expected no error, found %v", failure)
	}
	settings[slices.IndexFunc(settings, func(s wit.Setting) bool { return strings.HasSuffix(s.Name, ".topic") })].Value = ""
	if failure := V2.FirstError(settings); failure == nil || !strings.HasSuffix(*failure.Setting, ".topic") {
		t.Errorf("expected an error of the topic, found %v", failure)
	}
}
