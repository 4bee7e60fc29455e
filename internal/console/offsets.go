package console

import "encoding/json"

type offsetRow struct{ Partition, Offset json.RawMessage }

const maxOffsets = 100

// offsetsPage is the page of the stored offsets.
type offsetsPage struct {
	Head    *connectorHead
	Offsets []offsetRow
	Error   string
}

func (v *pageRequest) offsets() (any, error) {
	head, err := v.head(v.query.Get("name"), "offsets")
	p := offsetsPage{Head: head}
	if err != nil || v.script { // each of them reads a topic of Kafka's, so once
		return p, err
	}
	var stored struct{ Offsets []offsetRow }
	if err := v.get("GET /connectors/{name}/offsets", &stored, v.query.Get("name")); err != nil {
		p.Error = err.Error()
	}
	p.Offsets = stored.Offsets[:min(len(stored.Offsets), maxOffsets)]
	return p, nil
}
