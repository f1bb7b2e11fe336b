package device

import (
	"encoding/json"
	"fmt"
)

// Report is what `run --report FILE` writes: one JSON object. Times are
// seconds, sizes bytes, energies joules.
type Report struct {
	App       string `json:"app"`
	Module    string `json:"module"`    // SHA-256 of the module, hexadecimal
	Where     string `json:"where"`     // auto, device or clone, as asked
	Objective string `json:"objective"` // time, energy or balanced
	// Unsupported says why the module runs but is not offloaded; empty if it may be.
	Unsupported string        `json:"unsupported,omitempty"`
	Calls       []CallReport  `json:"calls"`
	Totals      Totals        `json:"totals"`
	JoulesAre   string        `json:"joulesAre,omitempty"`
	Policy      *PolicyReport `json:"policy,omitempty"` // of a run that has one
	Power       string        `json:"power,omitempty"`  // the power profile that they are of; where=auto only
}

// CallReport is one call of a candidate that was considered for offload.
type CallReport struct {
	Function  string                `json:"function"`
	Index     uint32                `json:"index"`
	Context   string                `json:"context"`
	Where     string                `json:"where"` // device or clone
	Reason    string                `json:"reason"`
	Predicted map[string]Prediction `json:"predicted,omitempty"`
	// Rule is the rule that decided, Term the part of the costs that did, in words.
	Rule      string  `json:"rule,omitempty"`
	Term      string  `json:"term,omitempty"`
	Uncertain bool    `json:"uncertain,omitempty"`
	Seconds   float64 `json:"seconds"`
	Joules    float64 `json:"joules,omitempty"`
	BytesUp   int64   `json:"bytesUp"`
	BytesDown int64   `json:"bytesDown"`
	Attempts  int     `json:"attempts"`
	Fallback  bool    `json:"fallback,omitempty"` // an attempt came to nothing and the call ran here
}

// Prediction is what a site was expected to cost before the call.
type Prediction struct {
	Seconds float64 `json:"seconds"`
	Joules  float64 `json:"joules,omitempty"`
}

// Totals sums a run.
type Totals struct {
	Seconds     float64 `json:"seconds"`
	Joules      float64 `json:"joules,omitempty"`
	BytesUp     int64   `json:"bytesUp"`
	BytesDown   int64   `json:"bytesDown"`
	CallsDevice int     `json:"callsDevice"`
	CallsClone  int     `json:"callsClone"`
	Fallbacks   int     `json:"fallbacks"`
}

// Encode returns the report as it is written to a file.
func (r *Report) Encode() ([]byte, error) {
	if r.Calls == nil {
		r.Calls = []CallReport{}
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(data, '\n'), nil
}
