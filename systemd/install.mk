# install.mk: what goes where. Included by the Makefile.
