package feed

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-source 13"

// Context is what open worked out: what a context holds, and what an instance made of it.
type Context struct {
	Origin uri.Origin
	// At is when the metadata came, in milliseconds since 1970.
	At int64
	// Refresh is after how many milliseconds they are read again, 0: never for their age alone.
	Refresh int
	Feeds   []Feed
}

// PackContext writes a context.
func PackContext(o *Context) []byte {
	b := pack.Text(nil, contextVersion)
	b = pack.Text(pack.Text(b, o.Origin.Scheme), o.Origin.Host)
	b = pack.Texts(pack.Number(b, o.Origin.Port), o.Origin.Aliases)
	b = pack.Number(pack.Number(b, int(o.At)), o.Refresh)
	b = pack.Number(b, len(o.Feeds))
	for i := range o.Feeds {
		f := &o.Feeds[i]
		for _, s := range []string{f.Number, f.Service, f.Set, f.Topic, f.Id, f.Paging, f.Cron, f.Cursor,
			f.Options.Zone.Name(),
			string(f.Query), f.Name, f.Address} {
			b = pack.Text(b, s)
		}
		b = pack.Number(pack.Number(pack.Number(b, f.Period), f.PageSize), f.Lookback)
		b = pack.Number(pack.Number(b, f.ToPartition), len(f.Extra))
		for _, field := range f.Extra {
			b = pack.Text(pack.Text(b, field.Name), field.Value)
		}
		for _, on := range []bool{f.Count, f.Atom, f.ordered, f.countable, f.pageable, f.Options.PrimitiveDecimals,
			f.Options.Lenient, f.Options.Dates, f.Options.Micros, f.Headers} {
			b = pack.Flag(b, on)
		}
		b = pack.Number(pack.Number(b, f.Options.ScaleFallback), int(f.Options.Rounding))
		b = f.Subscribing.Pack(f.Tracking.Pack(b))
		b = f.ODP.pack(pack.Flag(b, f.Announced))
		b = pack.Texts(b, f.Derived)
		b = edm.Pack(f.Reads.Pack(b), f.model.Structures)
	}
	return b
}

// UnpackContext reads a context and makes schemas and layouts anew.
func UnpackContext(context []byte) (*Context, error) {
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	}
	o := &Context{Origin: uri.Origin{Scheme: r.Text(), Host: r.Text(), Port: r.Number(), Aliases: r.Texts()},
		At: int64(r.Number()), Refresh: r.Number()}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		f := Feed{}
		for _, s := range []*string{&f.Number, &f.Service, &f.Set, &f.Topic, &f.Id, &f.Paging, &f.Cron, &f.Cursor,
			&f.Zone,
			(*string)(&f.Query), &f.Name, &f.Address} {
			*s = r.Text()
		}
		f.Period, f.PageSize, f.Lookback, f.ToPartition = r.Number(), r.Number(), r.Number(), r.Number()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			f.Extra = append(f.Extra, wit.Setting{Name: r.Text(), Value: r.Text()})
		}
		for _, on := range []*bool{&f.Count, &f.Atom, &f.ordered, &f.countable, &f.pageable,
			&f.Options.PrimitiveDecimals, &f.Options.Lenient, &f.Options.Dates,
			&f.Options.Micros, &f.Headers} {
			*on = r.Flag()
		}
		f.Options.ScaleFallback, f.Options.Rounding = r.Number(), edm.Rounding(r.Number())
		if f.Zone != "" {
			f.Options.Zone, _ = zone.Load(f.Zone)
		}
		f.Tracking.Unpack(r)
		f.Subscribing.Unpack(r)
		f.Options.Delta, f.Announced = f.Tracking.On || f.Named(), r.Flag()
		f.ODP = unpackODP(r)
		f.Derived = r.Texts()
		f.Reads = query.Unpack(r)
		f.Reads.Zone = f.Options.Zone
		f.model = edm.Unpack(r)
		if r.Bad || len(f.model.Structures) == 0 {
			break
		}
		o.Feeds = append(o.Feeds, f)
	}
	if !r.Done() {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context can't be read"}
	}
	for i := range o.Feeds {
		if err := o.Feeds[i].compile(); err != nil {
			return nil, err
		}
	}
	return o, nil
}
