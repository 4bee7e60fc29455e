package e2etest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
)

// Canary is a secret that stands in a file of this machine.
const Canary = "c4n4ry/of a s3cret: x0x,s3c0nd"

// SecretFile is a properties file with the canary as `key`, and the same as a file of its folder.
func (p *Place) SecretFile(folder string) (file string) {
	p.T.Helper()
	p.Subfolder(folder)
	p.File(filepath.Join(folder, "whole"), Canary)
	return p.File(filepath.Join(folder, "some.properties"), "key="+Canary, "user=someone", "pwd=geheim")
}

// Plain is the file of a worker without REST whose converters write no schemas.
func (p *Place) Plain(servers string, settings ...string) (file string) {
	p.T.Helper()
	return p.File("worker.properties", PlainWorker(servers, settings...)...)
}

// PlainWorker is the settings of a worker without REST whose converters write no schemas.
func PlainWorker(servers string, settings ...string) []string {
	return append([]string{"bootstrap.servers=" + servers, "listeners=", "key.converter.schemas.enable=false",
		"value.converter.schemas.enable=false"}, settings...)
}

// Shows tells which piece of the canary a text shows, in any of the forms in which texts write it, "" for none.
func Shows(text string) string {
	const piece = "c4n4ry.s3cret"
	text = strings.ToLower(text)
	for _, form := range []string{piece, hex.EncodeToString([]byte(piece)), "C4N4RY", "s3cret-x0x",
		base64.RawStdEncoding.EncodeToString([]byte(piece))[:16]} {
		if strings.Contains(text, strings.ToLower(form)) {
			return form
		}
	}
	return ""
}

// LettersOf runs a connector for each setting, all of whose rows are refused, and returns their letters.
func (p *Place) LettersOf(taken []SettingOfPlugin, address, reference string) []*kgo.Record {
	p.T.Helper()
	broker := Embedded(p.T).Addr()
	client := Client(p.T, broker)
	MakeTopics(p.T, client, "Orders", "refused")
	Produce(p.T, broker, &kgo.Record{Topic: "Orders", Value: []byte("no JSON")},
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
	r := p.Run(append([]string{"run", "--once", "--plugins", Plugins(p.T, "odata-sink", "smt"), "--data",
		p.Subfolder("letters")}, files...)...)
	for line := range strings.Lines(r.Stderr) {
		if Shows(line) != "" {
			p.T.Errorf("the log: %s", line)
		}
	}
	if r.Code == 2 {
		p.T.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
	end := EndsOn(p.T, broker, "refused")[0]
	return ReadTopic(p.T, broker, "refused", int(end))
}

// SettingOfPlugin is a configuration that is sound but for what key is given.
type SettingOfPlugin struct {
	Settings map[string]string
	Key      string
	// Published: its value is a name that others see.
	Published bool
}

// SettingsOfPlugins are all settings that plugins, converters and every connector have.
func (f *Followed) SettingsOfPlugins(address string) (all []SettingOfPlugin) {
	f.Place.T.Helper()
	settingsOf := func(class string) (names []string) {
		var declared []check.Definition
		if Get(f.Place.T, f.Url+"/connector-plugins/"+url.PathEscape(class)+"/config", &declared) != 200 {
			return nil
		}
		for _, d := range declared {
			names = append(names, strings.NewReplacer("{n}", "00", "{m}", "00", "{name}", "NAME").Replace(d.Name))
		}
		return names
	}
	source := func() map[string]string { return Configuration(Source("probe", address, "Products")) }
	var plugins []connect.Plugin
	Get(f.Place.T, f.Url+"/connector-plugins?connectorsOnly=false", &plugins)
	for _, plugin := range plugins {
		for _, name := range settingsOf(plugin.Class) {
			one, last := SettingOfPlugin{Settings: source(), Key: name}, name[strings.LastIndexByte(name, '.')+1:]
			switch strings.ToLower(plugin.Type) {
			case "source":
				one.Published = name == "name" || slices.Contains([]string{"topic", "service", "entityset"}, last)
			case "sink":
				one.Settings = Configuration(SinkOf("probe", address, "Orders", "OrderCopies"))
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

// Nowhere fails the test where a secret stands in what was printed, or in a file of the data folder: offsets of the
// guest are there.
func (p *Place) Nowhere(secret, printed string) {
	p.T.Helper()
	for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		if i := strings.Index(printed, s); i >= 0 {
			p.T.Errorf("a secret was printed: %s", printed[max(0, i-200):min(len(printed), i+100)])
		}
		filepath.WalkDir(p.Data, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), s) {
				p.T.Errorf("a secret stands in %s", path)
			}
			return nil
		})
	}
}
