package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/wit"
)

func TestConfigurations(t *testing.T) {
	orders := set("00", "Orders")
	subscribed := append(set("00", "Orders"), "sap.odata#00.subscription.enable=1", "sap.odata.subscription.dest=C",
		"sap.odata.subscription.ports=8301,8302")
	for _, c := range []struct {
		settings         []string
		setting, message string
	}{
		{orders, "", ""},
		{append(orders, "sap.odata.format=ATOM", "sap.odata#00.track-changes=FALSE",
			"sap.odata#00.decimal.mapping=Primitive"), "", ""},
		{nil, "sap.odata.host.address", "No entity set is configured"},
		{orders[:2], "sap.odata#00.topic", "Missing required"},
		{append(orders, "sap.odata#00.track-changes=1"), "sap.odata#00.exec-period",
			"Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{append(orders, "sap.odata#00.delta.link.regex=(?<=deltatoken=)'(?<t>[^']*+)'",
			"sap.odata#00.delta.link.replacement=${t}\\$"), "", ""},
		{append(orders, "sap.odata#00.delta.link.regex=(a"), "sap.odata#00.delta.link.regex",
			"Invalid value (a for configuration sap.odata#00.delta.link.regex: expected a regular expression of " +
				"Java: Unclosed group near index 2"},
		{append(orders, "sap.odata#00.delta.link.regex=a", "sap.odata#00.delta.link.replacement=$1"),
			"sap.odata#00.delta.link.replacement", "Invalid value $1 for configuration " +
				"sap.odata#00.delta.link.replacement: expected what Java replaces matches of " +
				"sap.odata#00.delta.link.regex by: No group 1"},
		{append(orders, "sap.odata#00.exec-period=0"), "sap.odata#00.exec-period", "Invalid value 0"},
		{append(orders, "sap.odata#00.exec-period=-2"), "sap.odata#00.exec-period", "Invalid value -2"},
		{append(orders, "sap.odata#00.filter#00.property=OrderID"), "sap.odata#00.filter#00.property",
			"Missing required configuration \"sap.odata#00.filter#00.option\""},
		{append(orders, condition("0", "OrderID", "EQ", "1")...), "", ""},
		{append(orders, "sap.odata#00.cron.expression=0 0 22 ? * MON-FRI Europe/Berlin", "sap.odata.paging=TOP"), "",
			""},
		{append(orders, "sap.odata#00.cron.expression=0 22 * *"), "sap.odata#00.cron.expression",
			"Invalid value 0 22 * * for configuration sap.odata#00.cron.expression: expected six fields"},
		{append(orders, "sap.odata.cron.expression=0 0 22 * * ?", "sap.odata#00.exec-period=5"),
			"sap.odata.cron.expression", "Invalid value 0 0 22 * * ? for configuration sap.odata.cron.expression: " +
				"expected it without sap.odata#00.exec-period, found both"},
		{append(orders, condition("0", "OrderID", "like", "1")...), "sap.odata#00.filter#0.option",
			"Invalid value like for configuration sap.odata#00.filter#0.option: String must be one of: eq, ne, " +
				"le, lt, ge, gt, bt, nb, in"},
		{append(orders, condition("0", "OrderID", "bt", "1")...), "sap.odata#00.filter#0.property",
			"Missing required configuration \"sap.odata#00.filter#0.high\""},
		{append(orders, condition("0", "OrderID", "eq", "1", "2")...), "sap.odata#00.filter#0.high",
			"Invalid value 2 for configuration sap.odata#00.filter#0.high: expected it with the operators " +
				"bt and nb only, found eq"},
		{append(orders, "sap.odata#00.filter#0.option=eq", "sap.odata#00.filter#0.low=1"),
			"sap.odata#00.filter#0.option", "Missing required configuration \"sap.odata#00.filter#0.property\""},
		{append(orders, "sap.odata#00.filtr#00.property=OrderID"), "sap.odata#00.filtr#00.property",
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
		{append(orders, "sap.odata.sap.client=100", "sap.odata.sap.client.in=QUERY"), "", ""},
		{append(orders, "sap.odata.sap.client.in=header"), "", ""},
		{append(orders, "sap.odata.sap.client.in=cookie"), "sap.odata.sap.client.in",
			"Invalid value cookie for configuration sap.odata.sap.client.in: String must be one of: header, query"},
		{append(orders, "sap.odata.destination=S4", "sap.odata.sap.client.in=query"), "sap.odata.sap.client.in",
			"Invalid value query for configuration sap.odata.sap.client.in: expected sap.odata.sap.client with it"},
		{append(orders, "sap.odata.destination=S4", "sap.odata.sap.client=100", "sap.odata.sap.client.in=query"), "",
			""},
		{append(orders, "sap.odata.sap.client=100", "sap.odata#00.service=/s?sap-client=200"), "sap.odata#00.service",
			"Invalid value /s?sap-client=200 for configuration sap.odata#00.service: it names the SAP client 200"},
		{append(orders, "sap.odata#00.entityset=Orders?$top=1&SAP-Client=200"), "sap.odata#00.entityset",
			"Invalid value Orders?$top=1&SAP-Client=200 for configuration"},
		{append(orders, "sap.odata.keystore.location=x", "sap.odata.proxy.type=HTTP", "sap.odata.auth.type=oauth2"), "",
			""},
		{append(orders, "sap.odata.keystore.type=jks"), "", ""},
		{append(orders, "sap.odata.keystore.type=JKS"), "sap.odata.keystore.type",
			"Invalid value JKS for configuration sap.odata.keystore.type: String must be one of: jceks, jks"},
		{append(orders, "sap.odata.auth.type=digest"), "sap.odata.auth.type", "Invalid value digest"},
		{append(orders, set("1", "Orders/")...), "sap.odata#1.entityset",
			"Entity set Orders of /V2/Northwind/Northwind.svc stands in sap.odata#00.entityset already"},
		{append(append(orders, set("1", "Orders")...), "sap.odata#1.id=again"), "", ""},
		{append(orders, "sap.odata.min.retry.backoff.ms=20000"), "sap.odata.min.retry.backoff.ms",
			"Invalid value 20000"},
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
		{append(orders, "sap.odata#00.track-changes=1"), "sap.odata#00.exec-period",
			"Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{subscribed, "", ""},
		{append(orders, "sap.odata.host.port=0"), "sap.odata.host.port", "Invalid value 0"},
	} {
		setting, message := "", ""
		inquiry, err := (&plugin{}).Validate(entry.Component, configuration(c.settings...), false, nil, nil)
		noError(t, err)
		for _, e := range *inquiry.Done {
			if len(e.Errors) > 0 && (setting == "" || e.Spec.Name == c.setting) {
				setting, message = e.Spec.Name, e.Errors[0]
			}
		}
		if setting != c.setting || !strings.HasPrefix(message, c.message) || (c.message == "") != (message == "") {
			t.Errorf("%v: expected %s: %s, found %s: %s", c.settings, c.setting, c.message, setting, message)
		}
		if _, err := (&plugin{}).Open(entry.Component, configuration(c.settings...), nil,
			nil); (err == nil) != (c.message == "") {
			t.Errorf("%v: open says %v", c.settings, err)
		}
	}
}

// TestNoSecretIsRead: the plugin works without the password, and a password that is handed in all the same shows
// nowhere.
func TestNoSecretIsRead(t *testing.T) {
	with := append(configuration(set("00", "Orders")...), wit.Setting{Name: "sap.odata.user.pwd", Value: "hush"})
	s := service.New(service.Options{})
	l := newLoad(t, s, set("00", "Orders")...)
	asked, err := l.p.Open(entry.Component, with, nil, nil)
	noError(t, err)
	var answers []wit.Response
	for _, q := range asked.Ask.Requests {
		answers = append(answers, l.exchange(&q))
	}
	opened, err := l.p.Open(entry.Component, with, nil, answers)
	noError(t, err)
	if string(opened.Ready.Context) != string(l.opened.Context) ||
		opened.Ready.Feeds[0].Fingerprint != l.opened.Feeds[0].Fingerprint {
		t.Error("the password changes what open says")
	}
	all, err := json.Marshal([]any{asked, opened})
	noError(t, err)
	if strings.Contains(string(all), "hush") {
		t.Error("the password shows")
	}
	passwords := 0
	for _, spec := range entry.Table.Specs() {
		if spec.Kind == wit.KindPassword {
			passwords++
		}
	}
	if passwords != 11 {
		t.Errorf("expected 11 passwords, found %d", passwords)
	}
}

func TestPlan(t *testing.T) {
	all := append(append(set("00", "Orders"), set("01", "Products")...), append(set("2", "Customers"),
		"sap.odata.format=atom")...)
	for most, expected := range map[uint32]string{1: "00 01 2", 2: "00 2|01", 9: "00|01|2"} {
		layout, err := (&plugin{}).Plan(entry.Component, configuration(all...), most)
		noError(t, err)
		var tasks []string
		for _, task := range layout.Tasks {
			v := entry.Table.Values(task)
			var numbers []string
			for _, g := range config.Groups(v) {
				numbers = append(numbers, g.Digits)
			}
			tasks = append(tasks, strings.Join(numbers, " "))
			if v.Text("sap.odata.format") != "atom" || v.Text(config.Address) == "" {
				t.Error("a task lacks a setting that is for all")
			}
		}
		if found := strings.Join(tasks, "|"); found != expected {
			t.Errorf("%d tasks: expected %s, found %s", most, expected, found)
		}
		if layout.ExactlyOnce.Supported == nil {
			t.Errorf("expected exactly once, found %s", *layout.ExactlyOnce.Unsupported)
		}
	}
	layout, err := (&plugin{}).Plan(entry.Component, configuration(append(all, "sap.odata#01.exec-period=60")...), 1)
	if err != nil || layout.ExactlyOnce.Unsupported == nil || !strings.Contains(*layout.ExactlyOnce.Unsupported,
		"Products") {
		t.Errorf("expected the refusal to name Products, found %+v (%v)", layout.ExactlyOnce, err)
	}
}

// TestCauses: a load that broke off goes on; a complete one waits for its period, also over a restart.
func TestCauses(t *testing.T) {
	s := service.New(service.Options{Switches: service.Switches{PageSize: 500}})
	l := newLoad(t, s, append(set("00", "Orders"), "sap.odata#00.exec-period=60")...)
	if p := l.opened.Feeds[0].PollEveryMs; p == nil || *p != 60_000 {
		t.Errorf("expected a period of 60000 ms, found %v", p)
	}
	step, err := l.p.Next(l.opened.Context, 0, nil, wit.Cause{Start: wit.Chosen}, 0)
	if err != nil || step.Fetch == nil || !step.Fetch.RepeatsExactly || step.Fetch.Acknowledges ||
		!step.Fetch.Request.Repeatable {
		t.Fatalf("expected the first page, found %+v (%v)", step, err)
	}
	middle, err := l.page(0, step.Fetch)
	noError(t, err)
	again, err := l.p.Next(l.opened.Context, 0, append(middle, wit.IntegerField("record", 3)),
		wit.Cause{Start: wit.Chosen}, 0)
	if err != nil || again.Fetch == nil || !strings.Contains(again.Fetch.Request.Target, "$skiptoken") {
		t.Fatalf("expected the second page, found %+v (%v)", again, err)
	}
	done, err := l.run(0, middle)
	noError(t, err)
	const at = 1_700_000_000_000
	for _, c := range []struct {
		cause    wit.Cause
		now      int64
		expected bool
	}{
		{wit.Cause{Start: wit.Chosen}, at + 59_999, false}, {wit.Cause{Start: wit.Chosen}, at + 60_000, true},
		{wit.Cause{More: wit.Chosen}, at + 90_000, false}, {wit.Cause{Poll: wit.Chosen}, at, true},
	} {
		step, err := l.p.Next(l.opened.Context, 0, done, c.cause, c.now)
		if err != nil || (step.Fetch != nil) != c.expected || (step.Idle != nil) == c.expected {
			t.Errorf("%+v at %d: expected a page: %v, found %+v (%v)", c.cause, c.now-at, c.expected, step, err)
		}
	}
	once := newLoad(t, s, set("00", "Orders")...)
	if step, err := once.p.Next(once.opened.Context, 0, done, wit.Cause{Start: wit.Chosen}, at+90_000); err != nil ||
		step.Finished == nil {
		t.Errorf("expected a load that is done for good, found %+v (%v)", step, err)
	}
}

func TestStaleContext(t *testing.T) {
	l := newLoad(t, service.New(service.Options{}), set("00", "Orders")...)
	for _, context := range [][]byte{nil, {1}, l.opened.Context[:len(l.opened.Context)-1], append(l.opened.Context,
		0)} {
		_, err := l.p.Next(context, 0, nil, wit.Cause{Start: wit.Chosen}, 0)
		if f, ok := err.(*wit.Fault); !ok || f.Kind != wit.FaultStale {
			t.Errorf("a context of %d bytes: found %v", len(context), err)
		}
	}
}

func TestOffsets(t *testing.T) {
	partition := []wit.Field{wit.TextField("service", "/s"), wit.TextField("entityset", "X")}
	good := []wit.Field{wit.TextField("url", "/s/X"), wit.IntegerField("seen", 3), wit.TextField("of the host", "x")}
	for _, c := range []struct {
		partition, offset []wit.Field
		ok                bool
	}{
		{partition, good, true}, {partition, nil, true}, {partition[:1], good, false}, {nil, good, false},
		{partition, good[1:], false}, {partition, append(good, wit.IntegerField("count", -1)), false},
		{partition, append(good, wit.TextField("done", "x")), false},
		{partition, []wit.Field{wit.TextField("url", "http://evil/")}, false},
	} {
		if err := (&plugin{}).CheckOffset(c.partition, c.offset); (err == nil) != c.ok {
			t.Errorf("%v %v: expected %v, found %v", c.partition, c.offset, c.ok, err)
		}
	}
}

func TestTools(t *testing.T) {
	s := service.New(service.Options{})
	l := newLoad(t, s, set("00", "Orders")...)
	run := func(command string, options ...string) (string, error) {
		var list []wit.Setting
		for _, o := range options {
			name, value, _ := strings.Cut(o, "=")
			list = append(list, wit.Setting{Name: name, Value: value})
		}
		reply, err := l.p.Run(command, list, configuration(), nil, nil)
		for err == nil && reply.Ask != nil {
			var answers []wit.Response
			for _, q := range reply.Ask.Requests {
				answers = append(answers, l.exchange(&q))
			}
			reply, err = l.p.Run(command, list, configuration(), reply.Ask.State, answers)
		}
		if err != nil {
			return "", err
		}
		if !json.Valid([]byte(*reply.Document)) {
			t.Errorf("%s: no JSON: %s", command, *reply.Document)
		}
		return *reply.Document, nil
	}
	for _, c := range []struct {
		command string
		options []string
		part    string
	}{
		{"ping", []string{"s=" + northwind + "/"}, `{"service":"/V2/Northwind/Northwind.svc","collections":`},
		{"list-entitysets", []string{"service=" + northwind},
			`{"name":"Order_Details","type":"NorthwindModel.Order_Detail","key":"OrderID,ProductID","creatable":true`},
		{"peek", []string{"s=" + northwind, "e=Order_Details", "n=2"},
			`{"name":"UnitPrice","type":"Decimal, scale 4"},{"name":"Quantity","type":"int16"},`},
		{"peek", []string{"s=" + northwind, "e=Orders", "rows=1"}, `"rows":[{"OrderID":10248,`},
		{"refuse-format", nil, ""},
		{"peek", []string{"s=" + northwind, "e=Orders", "rows=1"}, `"rows":[{"OrderID":10248,`},
	} {
		if c.part == "" {
			noError(t, s.Set(c.command, "true"))
			continue
		}
		document, err := run(c.command, c.options...)
		if err != nil || !strings.Contains(document, c.part) {
			t.Errorf("%s: expected %s in %s (%v)", c.command, c.part, document, err)
		}
	}
	for command, options := range map[string][]string{"ping": nil, "extract-schema": {"s=" + northwind}, "fly": {"s=/"},
		"list-entitysets": {"s=/nowhere"}} {
		if document, err := run(command, options...); err == nil {
			t.Errorf("%s %v: expected an error, found %s", command, options, document)
		}
	}
	commands := l.p.Commands()
	if len(commands) != 9 || commands[0].Name != "ping" {
		t.Errorf("expected ping to be the first of nine commands, found %+v", commands)
	}
}

func TestUnknownSets(t *testing.T) {
	l := newLoad(t, service.New(service.Options{}), set("00", "Orders")...)
	answers := []wit.Response{l.exchange(&wit.Request{Method: "GET", Target: northwind + "/$metadata"})}
	_, err := l.p.Open(entry.Component, configuration(set("00", "orders")...), nil, answers)
	if f, ok := err.(*wit.Fault); !ok || f.Kind != wit.FaultConfig || *f.Setting != "sap.odata#00.entityset" ||
		!strings.Contains(f.Message, "Orders") {
		t.Errorf("expected a fault of the setting that names Orders, found %v", err)
	}
}

// TestMetadataInMotion: a property that metadata lack has the page ask for them, however old they are, and no row is
// passed on before; a value that doesn't fit old ones has the plugin opened again, one that doesn't fit fresh ones is a
// fault of its own.
func TestMetadataInMotion(t *testing.T) {
	const read = 1_700_000_000_000
	for _, c := range []struct {
		body  string
		at    int64
		stale bool
		// rows, faults and requests that come where the page isn't stale
		rows, faults, requests int
	}{
		{`{"d":[{"ID":1,"New":2}]}`, read + 60_001, false, 0, 0, 1},
		{`{"d":[{"ID":1,"New":2}]}`, read, false, 0, 0, 1},
		{`{"d":[{"ID":"x"}]}`, read + 60_001, true, 0, 0, 0},
		{`{"d":[{"ID":"x"}]}`, read, false, 0, 1, 0},
		{`{"d":[{"ID":1}]}`, read + 60_001, false, 1, 0, 0},
	} {
		p := &plugin{}
		const metadata = `<Schema Namespace="N"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/></EntityType>` +
			`<EntityContainer Name="C"><EntitySet Name="X" EntityType="N.T"/></EntityContainer></Schema>`
		opened, err := p.Open(entry.Component, configuration(set("00", "X")...), nil,
			[]wit.Response{{Status: 200, Body: []byte(metadata), At: read}})
		noError(t, err)
		page, err := p.Begin(opened.Ready.Context, 0, &[]wit.Field{wit.TextField("url", "/X")},
			wit.Response{Status: 200,
				At: c.at})
		noError(t, err)
		portion, err := p.Decode(page, "", 200, []byte(c.body), true)
		f, isFault := err.(*wit.Fault)
		if stale := isFault && f.Kind == wit.FaultStale; stale != c.stale || len(portion.Rows) != c.rows ||
			len(portion.Faults) != c.faults || len(portion.Follow) != c.requests {
			t.Errorf("%s after %d ms: found %v, %d rows, %d faults, %d requests", c.body, c.at-read, err,
				len(portion.Rows), len(portion.Faults), len(portion.Follow))
		}
	}
}
