package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion makes contexts of other versions of this plugin stale.
const contextVersion = "odata-source 17"

// Context is the result of open: packed for the host and unpacked by each instance.
type Context struct {
	Component *sourceconfig.Component
	Settings  []wit.Setting
	Origin    uri.Origin
	ReadAt    int64 // when the metadata were read, in milliseconds since 1970
	// Refresh is the maximal age of the metadata in milliseconds. Zero means no limit.
	Refresh int
	Feeds   []Feed
}

// NewContext returns a context without feeds, and the configured entity sets.
func NewContext(class *sourceconfig.Component, settings []wit.Setting) (*Context, []sourceconfig.EntitySetConfig) {
	settings = slices.DeleteFunc(slices.Clone(settings), func(s wit.Setting) bool { // also drops passwords
		spec, isDeclared := class.Table.Find(s.Name)
		return (!isDeclared && s.Name != sourceconfig.ExactlyOnce) || (isDeclared && spec.Kind == wit.KindPassword)
	})
	v := class.Values(settings)
	return &Context{Component: class, Settings: settings, Origin: sourceconfig.Origin(v),
			Refresh: v.Int(sourceconfig.MetadataRefresh)},
		class.EntitySets(v)
}

// PackContext encodes a context.
func PackContext(unpacked *Context) []byte {
	b := pack.String(pack.String(nil, contextVersion), unpacked.Component.Class)
	b = pack.Settings(b, unpacked.Settings)
	b = pack.Int(b, int(unpacked.ReadAt))
	for i := range unpacked.Feeds {
		feed := &unpacked.Feeds[i]
		b = pack.String(pack.String(pack.String(b, feed.Name), feed.Address), feed.Subscriptions)
		for _, flag := range []bool{feed.Atom, feed.support.Ordered, feed.support.Countable, feed.support.Pageable,
			feed.support.Partial, feed.support.Singleton, feed.DeclaresTracking} {
			b = pack.Bool(b, flag)
		}
		b = edm.Pack(pack.Strings(pack.Strings(feed.ODP.pack(b), feed.Derived), feed.Subtypes), feed.model.Structures)
	}
	return b
}

// UnpackContext decodes a context and compiles its feeds.
func UnpackContext(context []byte) (*Context, error) {
	reader := pack.NewReader(context)
	if reader.String() != contextVersion {
		return nil, &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	}
	class, err := sourceconfig.FindComponent(reader.String())
	if err != nil {
		return nil, err
	}
	unpacked, configs := NewContext(class, reader.Settings())
	unpacked.ReadAt = int64(reader.Int())
	for _, cfg := range configs {
		feed := Feed{EntitySetConfig: cfg, Name: reader.String()}
		feed.Address = reader.String()
		feed.Subscriptions = reader.String()
		for _, flag := range []*bool{&feed.Atom, &feed.support.Ordered, &feed.support.Countable, &feed.support.Pageable,
			&feed.support.Partial, &feed.support.Singleton, &feed.DeclaresTracking} {
			*flag = reader.Bool()
		}
		if reader.Bool() {
			feed.ODP = &ODP{Links: reader.String(), Subscribed: reader.String(), Terminate: reader.String()}
		}
		feed.Derived = reader.Strings()
		feed.Subtypes = reader.Strings()
		feed.model = edm.Unpack(reader, feed.Dialect)
		if reader.Failed || len(feed.model.Structures) == 0 {
			break
		}
		feed.selectActive(feed.EntityType())
		unpacked.Feeds = append(unpacked.Feeds, feed)
	}
	if !reader.Done() || len(unpacked.Feeds) != len(configs) {
		return nil, &wit.Error{Kind: wit.ErrorStale, Message: "the context can't be read"}
	}
	for i := range unpacked.Feeds {
		if err := unpacked.Feeds[i].compile(); err != nil {
			return nil, err
		}
	}
	return unpacked, nil
}

// Fingerprint identifies the rows that an offset belongs to: with another one, the offset cannot be continued
// (RATIONALE.md P7). It is readable, so that the host can report the difference.
func Fingerprint(context *Context, feed *Feed, values setting.Values) string {
	format := "json"
	if feed.Atom {
		format = "atom"
	}
	mode := "full"
	cursor := ""
	if feed.Tracking.On {
		mode = "delta"
	}
	if feed.Cursor != "" {
		cursor = " cursor=" + feed.Cursor
	}
	extra := ""
	if len(feed.Extra) > 0 {
		extra = " key.extra=" + feed.ExtraText
	}
	if feed.DerivedTypes {
		extra += " derived=include"
	}
	origin := context.Origin.String()
	if context.Origin.Host == "" {
		origin = "destination:" + values.String(config.Destination)
	}
	return "origin=" + origin + " client=" + values.String(config.Client) + " user=" + values.String(config.User) +
		" set=" + feed.Service + "/" + feed.Address + " mode=" + mode + " format=" +
		format + feed.RowQuery.Fingerprint() + cursor + extra + feed.Dialect.Identity + feed.draftsIdentity()
}
