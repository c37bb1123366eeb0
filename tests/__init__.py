"""The test suite; its folders mirror the product's."""
