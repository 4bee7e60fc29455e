// Files-source is Kafka's FileStreamSourceConnector as a plugin: with its class, settings and offsets, so that calls
// that were recorded from a Kafka Connect worker can be sent to this one, too. A plugin has no files; it requests them
// from a server: GET /?path=PATH&from=POSITION.
package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/wit"
)

// version is set when the plugin is built.
var version string

func init() { source.Register(files{source.Pages(lines{})}) }

// main does not run: a plugin is a library whose exports the host calls.
func main() {}

// files has the partitions and offsets of Kafka's connector.
type files struct{ source.Plugin }

func (f files) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	opening, err := f.Plugin.Open(component, settings, state, answers)
	if err == nil {
		file, _ := fileAndTopic(settings)
		opening.Ready.Feeds[0].Partition = []wit.OffsetEntry{wit.StringEntry("filename", file)}
	}
	return opening, err
}

func (files) CheckOffset(partition, offset []wit.OffsetEntry) error {
	if _, ok := wit.Lookup(partition, "filename"); !ok {
		return sdk.NewError(wit.ErrorData, "Partition objects should contain the key 'filename'")
	}
	position, ok := wit.Lookup(offset, "position")
	switch {
	case !ok:
		return sdk.NewError(wit.ErrorData, "Offset objects should either be null or contain the key 'position'")
	case position.Integer == nil || *position.Integer < 0:
		return sdk.NewError(wit.ErrorData,
			"The value for the 'position' key in the offset should be a number from 0 on")
	}
	return nil
}

// lines reads a file: each line becomes a record.
type lines struct{}

func (lines) Describe() wit.Description {
	server := func(name string, kind wit.SettingKind, roleName string) wit.ConfigKey {
		return setting.Define("files."+name, kind, wit.Low, nil, "The server that has the files.", setting.Required(),
			setting.Role(roleName))
	}
	return wit.Description{Name: "files-source", Version: version, Components: []wit.Component{{
		Name: "org.apache.kafka.connect.file.FileStreamSourceConnector", Kind: wit.ComponentSource,
		Settings: []wit.ConfigKey{
			setting.Define("file", wit.KindString, wit.High, nil, "Source filename."),
			setting.Define("topic", wit.KindString, wit.High, nil, "The topic to publish data to.", setting.Required(),
				setting.Pattern("(?s).+")),
			setting.Define("batch.size", wit.KindInt, wit.Low, setting.Default("2000"), "The most records of a batch."),
			server("scheme", wit.KindString, role.Scheme), server("address", wit.KindString, role.Address),
			server("port", wit.KindInt, role.Port),
		},
	}}}
}

func (lines) Validate(string, []wit.Setting, bool, []byte, []wit.Response) (wit.ValidateResult, error) {
	return wit.ValidateResult{Done: &[]wit.ConfigValue{}}, nil
}

// fileAndTopic returns copies of two settings.
func fileAndTopic(settings []wit.Setting) (file, topic string) {
	for _, s := range settings {
		switch s.Name {
		case "file":
			file = strings.Clone(s.Value)
		case "topic":
			topic = strings.Clone(s.Value)
		}
	}
	return file, topic
}

func (lines) Feeds(_ string, settings []wit.Setting) ([]source.Feed, error) {
	file, topic := fileAndTopic(settings)
	request := func(at source.Offset) (wit.Request, error) {
		position, _ := at["position"].(int64)
		query := url.Values{"path": {file}, "from": {strconv.FormatInt(position, 10)}}
		return wit.Request{Target: "/?" + query.Encode()}, nil
	}
	return []source.Feed{{Name: "file", Topic: topic, Identity: file, PollEvery: time.Second,
		Request: request, Read: read}}, nil
}

// read returns the complete lines. The next poll reads a last line without end again.
func read(at source.Offset, answer wit.Response) (page source.Page, err error) {
	position, _ := at["position"].(int64)
	text := string(answer.Body)
	lines := text[:strings.LastIndexByte(text, '\n')+1]
	for line := range strings.Lines(lines) {
		page.Records = append(page.Records, source.Record{Value: strings.TrimSuffix(line, "\n")})
	}
	if lines != "" {
		page.Next = source.Offset{"position": position + int64(len(lines))}
	}
	return page, nil
}
