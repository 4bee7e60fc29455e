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
const contextVersion = "odata-source 14"

// Context is the result of open: packed for the host and unpacked by each instance.
type Context struct {
	Settings []wit.Setting
	Origin   uri.Origin
	ReadAt   int64
	// Refresh is their maximal age in milliseconds. Zero means no limit.
	Refresh int
	Feeds   []Feed
}

// NewContext returns a context without feeds, and the configured entity sets.
func NewContext(settings []wit.Setting) (*Context, []sourceconfig.EntitySetConfig) {
	settings = slices.DeleteFunc(slices.Clone(settings), func(s wit.Setting) bool { // also drops passwords
		spec, known := sourceconfig.Table.Find(s.Name)
		return !known && s.Name != sourceconfig.ExactlyOnce || known && spec.Kind == wit.KindPassword
	})
	v := sourceconfig.Table.Values(settings)
	return &Context{Settings: settings, Origin: sourceconfig.Origin(v),
			Refresh: v.Int(sourceconfig.MetadataRefresh)},
		sourceconfig.EntitySets(v)
}

// PackContext encodes a context.
func PackContext(o *Context) []byte {
	b := pack.Settings(pack.String(nil, contextVersion), o.Settings)
	b = pack.Int(b, int(o.ReadAt))
	for i := range o.Feeds {
		f := &o.Feeds[i]
		b = pack.String(pack.String(pack.String(b, f.Name), f.Address), f.Subscriptions)
		for _, on := range []bool{f.Atom, f.ordered, f.countable, f.pageable, f.DeclaresTracking} {
			b = pack.Bool(b, on)
		}
		b = edm.Pack(pack.Strings(f.ODP.pack(b), f.Derived), f.model.Structures)
	}
	return b
}

// UnpackContext decodes a context and compiles its feeds.
func UnpackContext(context []byte) (*Context, error) {
	r := pack.NewReader(context)
	if r.String() != contextVersion {
		return nil, &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	}
	o, all := NewContext(r.Settings())
	o.ReadAt = int64(r.Int())
	for _, e := range all {
		f := Feed{EntitySetConfig: e, Name: r.String(), Address: r.String(), Subscriptions: r.String()}
		for _, on := range []*bool{&f.Atom, &f.ordered, &f.countable, &f.pageable, &f.DeclaresTracking} {
			*on = r.Bool()
		}
		f.ODP, f.Derived, f.model = unpackODP(r), r.Strings(), edm.Unpack(r)
		if r.Failed || len(f.model.Structures) == 0 {
			break
		}
		o.Feeds = append(o.Feeds, f)
	}
	if !r.Done() || len(o.Feeds) != len(all) {
		return nil, &wit.Error{Kind: wit.ErrorStale, Message: "the context can't be read"}
	}
	for i := range o.Feeds {
		if err := o.Feeds[i].compile(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Fingerprint identifies what an offset belongs to (P7), readable so that the host can name the difference.
func Fingerprint(o *Context, f *Feed, v setting.Values) string {
	format := "json"
	if f.Atom {
		format = "atom"
	}
	mode, cursor := "full", ""
	if f.Tracking.On {
		mode = "delta"
	}
	if f.Cursor != "" {
		cursor = " cursor=" + f.Cursor
	}
	extra := ""
	if len(f.Extra) > 0 {
		extra = " key.extra=" + f.ExtraText
	}
	if f.DerivedTypes {
		extra += " derived=include"
	}
	origin := o.Origin.String()
	if o.Origin.Host == "" {
		origin = "destination:" + v.String(config.Destination)
	}
	return "origin=" + origin + " client=" + v.String(config.Client) + " user=" + v.String(config.User) +
		" set=" + f.Service + "/" + f.Address + " mode=" + mode + " format=" +
		format + f.RowQuery.Fingerprint() + cursor + extra
}
