package feed

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-source 14"

// Context is what open worked out: what a context holds, and what an instance made of it.
type Context struct {
	// Given are the settings, by which entries and Origin are known.
	Given  []wit.Setting
	Origin uri.Origin
	// At is when the metadata came, in milliseconds since 1970.
	At int64
	// Refresh is after how many milliseconds they are read again, 0: never for their age alone.
	Refresh int
	// Feeds are those of the entries, in their order.
	Feeds []Feed
}

// Configured is the context of settings, without feeds, and their entries.
func Configured(given []wit.Setting) (*Context, []entry.Entry) {
	given = slices.DeleteFunc(slices.Clone(given), func(s wit.Setting) bool { // a password that comes all the same
		spec, known := entry.Table.Find(s.Name)
		return !known && s.Name != entry.ExactlyOnce || known && spec.Kind == wit.KindPassword
	})
	v := entry.Table.Values(given)
	return &Context{Given: given, Origin: entry.Origin(v), Refresh: v.Int(entry.MetadataRefresh)}, entry.Entries(v)
}

// PackContext writes a context: the settings, and of each feed what its metadata say.
func PackContext(o *Context) []byte {
	b := pack.Settings(pack.String(nil, contextVersion), o.Given)
	b = pack.Int(b, int(o.At))
	for i := range o.Feeds {
		f := &o.Feeds[i]
		b = pack.String(pack.String(pack.String(b, f.Name), f.Address), f.Subscriptions)
		for _, on := range []bool{f.Atom, f.ordered, f.countable, f.pageable, f.Announced} {
			b = pack.Bool(b, on)
		}
		b = edm.Pack(pack.Strings(f.ODP.pack(b), f.Derived), f.model.Structures)
	}
	return b
}

// UnpackContext reads a context and makes schemas and layouts.
func UnpackContext(context []byte) (*Context, error) {
	r := pack.NewReader(context)
	if r.String() != contextVersion {
		return nil, &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	}
	o, all := Configured(r.Settings())
	o.At = int64(r.Int())
	for _, e := range all {
		f := Feed{Entry: e, Name: r.String(), Address: r.String(), Subscriptions: r.String()}
		for _, on := range []*bool{&f.Atom, &f.ordered, &f.countable, &f.pageable, &f.Announced} {
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

// Fingerprint is what an offset belongs to (P7), readable so that the host can name what differs.
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
		format + f.Asked.Fingerprint() + cursor + extra
}
