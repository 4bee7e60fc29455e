package operate

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// LettersOf runs a connector for each setting, all of whose rows are refused, and returns their letters.
func LettersOf(p *e2etest.Place, taken []SettingOfPlugin, address, reference string) []*kgo.Record {
	p.T.Helper()
	broker := e2etest.Embedded(p.T).Addr()
	client := e2etest.Client(p.T, broker)
	e2etest.MakeTopics(p.T, client, "Orders", "refused")
	e2etest.Produce(p.T, broker, &kgo.Record{Topic: "Orders", Value: []byte("no JSON")},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"ShipName":"no key"}`)},
		&kgo.Record{Topic: "Orders", Value: []byte(`{"OrderID":1,"ShipName":"refused by the service"}`)})
	files := []string{p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"value.converter.schemas.enable=false", "key.converter.schemas.enable=false")}
	for i, one := range taken {
		if strings.HasSuffix(one.Key, ".topic.name") {
			continue // a name that others see
		}
		settings := map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "refused",
			"errors.deadletterqueue.context.headers.enable": "true",
			"transforms.refuse.type":                        "org.apache.kafka.connect.transforms.Cast$Value",
			"transforms.refuse.spec":                        "ProductName:int16"}
		maps.Copy(settings, one.Settings)
		settings["name"] = fmt.Sprintf("probe-%d", i)
		settings["transforms"] = strings.TrimPrefix(settings["transforms"]+",refuse", ",")
		settings[one.Key] = reference
		var lines []string
		for name, value := range settings {
			lines = append(lines, name+"="+value)
		}
		files = append(files, p.File(settings["name"]+".properties", lines...))
	}
	r := p.Run(append([]string{"run", "--once", "--plugins", e2etest.Plugins(p.T, "odata-sink", "smt"), "--data",
		p.Subfolder("letters")}, files...)...)
	for line := range strings.Lines(r.Stderr) {
		if e2etest.Shows(line) != "" {
			p.T.Errorf("the log: %s", line)
		}
	}
	if r.Code == 2 {
		p.T.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
	end := e2etest.EndsOn(p.T, broker, "refused")[0]
	return e2etest.ReadTopic(p.T, broker, "refused", int(end))
}

// SettingOfPlugin is a configuration that is sound but for what key is given.
type SettingOfPlugin struct {
	Settings map[string]string
	Key      string
	// Published: its value is a name that others see.
	Published bool
}

// SettingsOfPlugins are all settings that plugins, converters and every connector have.
func SettingsOfPlugins(f *e2etest.Followed, address string) (all []SettingOfPlugin) {
	f.Place.T.Helper()
	settingsOf := func(class string) (names []string) {
		var declared []check.Definition
		if e2etest.Get(f.Place.T, f.Url+"/connector-plugins/"+url.PathEscape(class)+"/config", &declared) != 200 {
			return nil
		}
		for _, d := range declared {
			names = append(names, strings.NewReplacer("{n}", "00", "{m}", "00", "{name}", "NAME").Replace(d.Name))
		}
		return names
	}
	source := func() map[string]string { return e2etest.Configuration(e2etest.Source("probe", address, "Products")) }
	var plugins []connect.Plugin
	e2etest.Get(f.Place.T, f.Url+"/connector-plugins?connectorsOnly=false", &plugins)
	for _, plugin := range plugins {
		for _, name := range settingsOf(plugin.Class) {
			one, last := SettingOfPlugin{Settings: source(), Key: name}, name[strings.LastIndexByte(name, '.')+1:]
			switch strings.ToLower(plugin.Type) {
			case "source":
				one.Published = name == "name" || slices.Contains([]string{"topic", "service", "entityset"}, last)
			case "sink":
				one.Settings = e2etest.Configuration(e2etest.SinkOf("probe", address, "Orders", "OrderCopies"))
				one.Published = name == "name" || slices.Contains([]string{"topic", "topics", "service", "entityset"}, last)
			case "transformation", "predicate":
				part := map[string]string{"transformation": "transforms", "predicate": "predicates"}[strings.ToLower(plugin.Type)]
				one.Settings[part], one.Settings[part+".a.type"] = "a", plugin.Class
				one.Key = part + ".a." + name
			default:
				one.Settings["value.converter"], one.Key = plugin.Class, "value.converter."+name
			}
			all = append(all, one)
		}
	}
	for _, key := range []string{"transforms", "transforms.a.type", "transforms.a.predicate", "transforms.a.negate",
		"predicates", "predicates.p.type", "connector.plugin.version", "producer.override.linger.ms",
		"producer.override.client.id", "producer.override.bootstrap.servers", "producer.override.sasl.jaas.config",
		"producer.override.security.protocol", "producer.override.ssl.keystore.location",
		"admin.override.request.timeout.ms", "consumer.override.group.id", "consumer.override.max.poll.records",
		"value.converter", "key.converter.schema.registry.url", "header.converter", "topic.creation.groups",
		"topic.creation.default.partitions", "nobody.knows", "sap.odata.nobody.knows"} {
		all = append(all, SettingOfPlugin{Settings: source(), Key: key})
	}
	return all
}
