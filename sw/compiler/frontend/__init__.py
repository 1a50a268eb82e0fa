"""From a schedule to the stream IR: what knows TVM's TIR."""
