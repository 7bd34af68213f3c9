package main

import (
	"context"
	"os"

	"rfanode/analysis"
	"rfanode/config"
)

type serveCmd struct {
	configFlag
}

func (s *serveCmd) Run(ctx context.Context) error {
	c, source, err := s.read()
	if err != nil {
		return err
	}
	log := newLog(os.Stderr, c.Log)
	log.Info("rfanode "+analysis.Version+": research use only", "configuration", source)
	n, err := openNode(ctx, c, log, nil)
	if err != nil {
		return err
	}
	for i, l := range n.listeners {
		log.Info("listening", "ae_title", c.AETitle, "address", l.Addr().String(), "tls", i == len(n.listeners)-1 && c.TLS.Listen != "", "data", c.Data, "who_may_send", senders(c))
	}
	if len(c.Destinations) == 0 {
		log.Warn("no destination configured: results are kept in the data folder; add a [[destination]] to send them to the PACS")
	}
	for _, d := range c.Destinations {
		log.Info("results go to", "destination", d.Name, "ae_title", d.AETitle, "address", d.Address, "tls", d.TLS)
	}
	return n.run(ctx)
}

func senders(c *config.Config) string {
	if c.AllowAnyPeer {
		return "any peer"
	}
	return "configured peers only"
}
